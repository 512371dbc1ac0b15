//! Reading a plan out of model text.
