"""`python -m bench`: every measurement of docs/benchmarks.md, one after the other."""

from bench import certificates, sdk, synthesis

synthesis.main()
certificates.main()
sdk.main()
