//! The Container Runtime Interface v1, generated from `proto/runtime.proto`.
//!
//! Kubelet and runtime meet here: the kubelet uses the clients, the runtime implements the servers.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

tonic::include_proto!("runtime.v1");
