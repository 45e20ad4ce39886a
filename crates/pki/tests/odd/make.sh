#!/bin/sh
# Makes the certificates beside it, which no sound authority would issue, with OpenSSL 3.0.19.
# All are valid for 20 years; issuer is ca.pem unless the name says otherwise.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
leaf() { # NAME KEY-ARGUMENTS -- SIGNING-ARGUMENTS
    name=$1; shift
    key=
    while [ "$1" != -- ]; do key="$key $1"; shift; done
    shift
    # shellcheck disable=SC2086
    openssl genpkey $key -out "$work/$name.key" 2>/dev/null
    openssl req -new -key "$work/$name.key" -subj "/C=DE/O=Odd/CN=$name" -out "$work/csr" 2>/dev/null
    openssl x509 -req -in "$work/csr" -CA ca.pem -CAkey "$work/ca.key" -days 7300 -out "$name.pem" "$@" 2>/dev/null
}
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n' >"$work/ca.ext"
printf 'keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n' >"$work/leaf.ext"
printf 'keyUsage=critical,digitalSignature\n' >"$work/plain.ext"
v3="-extfile $work/leaf.ext"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/ca.key" 2>/dev/null
openssl req -x509 -key "$work/ca.key" -days 7300 -subj "/C=DE/O=Odd/CN=Odd CA" -out ca.pem \
    -addext keyUsage=critical,keyCertSign 2>/dev/null
p256="-algorithm EC -pkeyopt ec_paramgen_curve:P-256"
# shellcheck disable=SC2086
{
leaf good $p256 -- $v3
leaf version-1 $p256 --
leaf rsa-1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -- $v3
leaf sha-1 $p256 -- $v3 -sha1
leaf explicit-curve $p256 -pkeyopt ec_param_enc:explicit -- $v3
leaf brainpool -algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1 -- $v3
leaf ed25519 -algorithm ED25519 -- $v3
leaf ed448 -algorithm ED448 -- $v3
leaf pss $p256 -- $v3 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
leaf pss-longest-salt $p256 -- $v3 -sigopt rsa_padding_mode:pss
}
# An authority of version 1, and one below it.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/v1.key" 2>/dev/null
openssl req -new -key "$work/v1.key" -subj "/C=DE/O=Odd/CN=Version 1 CA" -out "$work/csr" 2>/dev/null
openssl x509 -req -in "$work/csr" -signkey "$work/v1.key" -days 7300 -out version-1-ca.pem 2>/dev/null
cp ca.pem "$work/keep.pem"; cp "$work/ca.key" "$work/keep.key"
cp version-1-ca.pem ca.pem; cp "$work/v1.key" "$work/ca.key"
# shellcheck disable=SC2086
leaf below-version-1-ca $p256 -- -extfile "$work/plain.ext"
cp "$work/keep.pem" ca.pem; cp "$work/keep.key" "$work/ca.key"
# The same issuer name and key identifier, another key.
printf '%s' "$(openssl x509 -in ca.pem -noout -ext subjectKeyIdentifier | tail -1 | tr -d ' :')" >"$work/id"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/other.key" 2>/dev/null
openssl req -x509 -key "$work/other.key" -days 7300 -subj "/C=DE/O=Odd/CN=Odd CA" -out impostor-ca.pem \
    -addext keyUsage=critical,keyCertSign -addext "subjectKeyIdentifier=$(cat "$work/id")" 2>/dev/null
cp impostor-ca.pem ca.pem; cp "$work/other.key" "$work/ca.key"
# shellcheck disable=SC2086
leaf by-impostor $p256 -- $v3
cp "$work/keep.pem" ca.pem
