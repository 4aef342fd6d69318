//! tarn-rules
