"""`python -m bench`: every measurement of docs/benchmarks.md, one after the other."""

from bench import certificates, gateway, load_test, reference_service, sdk, synthesis

synthesis.main()
certificates.main()
sdk.main()
reference_service.main()
gateway.main()
load_test.main()
