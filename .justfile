# Format, lints, documentation, and the shape of the code.
check:
    .ci/run lint
    cargo test --locked --test tidy

# Tests, as the README runs them.
test *ARGS:
    tests/run {{ARGS}}

# Crashes, simulated events, damaged caches and jobs of sources: 20 to 50 times as many as in `cargo test`, for hours.
long:
    LAPSED_CRASH_ROUNDS=2000 LAPSED_SIMULATION_EVENTS=50000000 LAPSED_CACHE_DAMAGES=5000 \
    LAPSED_CHURN_SEEDS=$(seq -s, 1 300) LAPSED_SOURCE_JOBS=1000000 \
    LAPSED_TRASH_THINGS=100000 \
    tests/run --no-fail-fast

# Every budget, beside its peers.
bench *ARGS:
    cargo bench {{ARGS}}

# The annotated configuration, its schema, and the document of the API: made from their declarations.
generate:
    LAPSED_UPDATE_REFERENCE=1 cargo test --locked --lib generated_files
    INSTA_UPDATE=always cargo test --locked --lib the_document_is_as_agreed

# The picture of the dashboard in the README.
picture:
    LAPSED_UPDATE_PICTURE=1 tests/run --locked --test it the_picture_of_the_readme
