//! What `minikctl` can be told, a file a verb.

pub mod programs;
