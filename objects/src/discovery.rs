//! What the server says about its resources: group lists, resource lists, the aggregated form.
