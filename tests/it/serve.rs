//! `tarn serve`, as clients and kill -9 see it.

mod crash;
mod daemon;
mod streams;
