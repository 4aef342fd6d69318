//! tarn-engine
