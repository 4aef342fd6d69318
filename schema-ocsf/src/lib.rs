//! tarn-schema-ocsf
