#!/bin/sh
# Makes the PKCS#12 files beside it with OpenSSL 3.0.19 and the keytool of JDK 17.0.15. PIN: 123456
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/ca.key" -out "$work/ca.pem" -days 7300 -subj "/C=DE/O=Fixtures/CN=Issuer" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/csr.pem" -subj "/C=DE/O=Fixtures/CN=Holder" 2>/dev/null
openssl x509 -req -in "$work/csr.pem" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 7300 -out "$work/cert.pem" 2>/dev/null
pack() { openssl pkcs12 -export -inkey "$work/key.pem" -in "$work/cert.pem" -certfile "$work/ca.pem" -name holder -passout pass:123456 "$@"; }
pack -out openssl3.p12
pack -legacy -out openssl-legacy.p12
pack -nomac -out no-mac.p12
pack -keypbe NONE -certpbe NONE -out unencrypted.p12
openssl pkcs12 -export -nokeys -in "$work/cert.pem" -passout pass:123456 -out no-key.p12
openssl pkcs12 -export -inkey "$work/key.pem" -in "$work/ca.pem" -nocerts -passout pass:123456 -out no-certificate.p12
rm -f keytool.p12 keytool-two.p12
for file in keytool keytool-two; do
    keytool -genkeypair -keystore $file.p12 -storetype PKCS12 -storepass 123456 -alias holder -keyalg EC -groupname secp256r1 \
        -dname "CN=Holder,O=Fixtures,C=DE" -validity 7300 2>/dev/null
done
keytool -genkeypair -keystore keytool-two.p12 -storepass 123456 -alias second -keyalg EC -groupname secp256r1 -dname "CN=Second" -validity 7300 2>/dev/null
rm -r "$work"
