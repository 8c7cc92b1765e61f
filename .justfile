# Tests, as the README runs them.
test *ARGS:
    cargo test {{ARGS}}

# Crashes, simulated events, damaged caches and jobs of sources: 20 to 50 times as many as in `cargo test`, for hours.
long:
    LAPSED_CRASH_ROUNDS=2000 LAPSED_SIMULATION_EVENTS=50000000 LAPSED_CACHE_DAMAGES=5000 \
    LAPSED_CHURN_SEEDS=$(seq -s, 1 300) LAPSED_SOURCE_JOBS=1000000 \
    cargo test --no-fail-fast

# Every budget, beside its peers.
bench *ARGS:
    cargo bench {{ARGS}}

# Format, lints and documentation.
lint:
    .ci/run lint
