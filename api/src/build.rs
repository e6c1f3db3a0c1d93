//! Building images, generated from `proto/build.proto`: served by our runtime beside the CRI.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

tonic::include_proto!("minik.build.v1");
