//! Images beyond the CRI (progress, archives, names, pushing, content), generated from `proto/images.proto`: served by our
//! runtime beside the CRI.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

tonic::include_proto!("minik.images.v1");
