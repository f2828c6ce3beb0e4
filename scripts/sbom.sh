# shellcheck shell=bash
# ./dev sbom: what the shipped programs are made of, as CycloneDX (docs/supply-chain.md).

sbom() {
    ensure_cargo
    ensure_cargo_tool cargo-cyclonedx 0.5.9
    local folder="$state/sbom" package
    mkdir -p "$folder"
    # It writes beside each manifest; nothing of that belongs there.
    cargo cyclonedx --format json --spec-version 1.5 --target all --override-filename millrace-sbom --quiet ||
        fail "cargo cyclonedx"
    mv gateway/millrace-sbom.json "$folder/millrace-gateway.cdx.json"
    mv workers/millrace-sbom.json "$folder/millrace-worker.cdx.json"
    find . -name millrace-sbom.json -not -path './target/*' -delete
    for package in gateway worker; do good ".dev/sbom/millrace-$package.cdx.json"; done
}
