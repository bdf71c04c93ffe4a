//! OpenAPI v2 and v3 documents of the kinds that are served.
