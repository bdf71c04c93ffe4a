//! What a controller is written with: calls, informers, work queues, elections and events, over the apiserver's gRPC.
