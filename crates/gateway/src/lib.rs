//! What is carried: listeners, the pipeline, upstreams, the admin API, telemetry.
