//! Containers and tasks as containerd's client knows them, generated from `proto/containers.proto`: served by our runtime beside
//! the CRI.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

tonic::include_proto!("minik.containers.v1");
