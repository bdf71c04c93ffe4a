//! What built-in kinds ask of their objects, in upstream's words.
