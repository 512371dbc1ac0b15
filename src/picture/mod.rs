//! Annotated frames: the plan drawn on the picture it was made from.
