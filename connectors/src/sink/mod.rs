//! What takes findings out. One file a receiver.
