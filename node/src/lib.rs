//! Simulated nodes: heartbeats, capacity, and pods that walk through their stages.
