/**
 * A certificate for localhost that nobody trusts unless told to, good until 2120. Node cannot make one by itself, and
 * openssl is not everywhere. The key protects nothing: it is here for all to see.
 */
export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUFuGUXJY1Ab06X/1
sCJ4YrK4P6p2IMFNGSLWllrPUfahRANCAAT7TNOf13ClFT3zdMlUG94EjhREyjaD
9+Fyd1f4YZ+sTxUODQ2DLIumRAfOmryl7VAwGAvjbjOYq5c4duIshVV+
-----END PRIVATE KEY-----`

export const cert = `-----BEGIN CERTIFICATE-----
MIIBZjCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPtM05/XcKUVPfN0
yVQb3gSOFETKNoP34XJ3V/hhn6xPFQ4NDYMsi6ZEB86avKXtUDAYC+NuM5irlzh2
4iyFVX6jTjBMMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMB0GA1UdDgQWBBQTXPHL69J+SpEhnINxidsoPIpHEzAKBggqhkjOPQQD
AgNHADBEAiBG2iDNtchkn+ttwAShEqCnh2dc/FHiLl9Znk270VPLkwIgH3zdmwdm
vzkQGOBtA1U34FeCKuMZsb7OA1DnjUwkUSY=
-----END CERTIFICATE-----`
