#!/bin/sh
# For compose.tls.yaml: an authority and a certificate for each server, in volumes. What stays valid for another month is
# kept. Servers' certificates are renewed by the authority that is there, so that no client has to know.
set -eu
umask 022

renew_before_s=$((30 * 24 * 60 * 60))
server_days=${CERTIFICATE_DAYS:-365}
authority_days=3650

main() {
  is_valid /authority/ca.pem || make_authority
  # The key is not for the clients.
  openssl x509 -in /authority/ca.pem -out /clients/ca.crt.new
  mv /clients/ca.crt.new /clients/ca.crt
  # 999 is the group of both servers in their images.
  is_valid /rabbitmq/server.pem || make_certificate /rabbitmq 999 DNS:rabbitmq,DNS:localhost,IP:127.0.0.1
  is_valid /redis/server.pem || make_certificate /redis 999 DNS:redis
}

# FILE: a certificate of today's authority that is not about to expire.
is_valid() {
  [ -s "$1" ] && openssl x509 -noout -checkend "$renew_before_s" -in "$1" >/dev/null &&
    openssl verify -CAfile /authority/ca.pem "$1" >/dev/null
}

make_authority() {
  echo "making an authority for $authority_days days"
  issue /authority 0 "$authority_days" "pipeline-heartbeat compose authority" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign
  mv /authority/server.pem /authority/ca.pem
}

# FOLDER GROUP NAMES
make_certificate() {
  echo "making a certificate for $3 for $server_days days"
  issue "$1" "$2" "$server_days" "${1#/}" -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
    -addext "subjectAltName=$3" -CA /authority/ca.pem -CAkey /authority/ca.pem
}

# FOLDER GROUP DAYS NAME OPTIONS…: certificate and key in one file, so that they are replaced as one.
issue() {
  folder=$1 group=$2 days=$3 name=$4
  shift 4
  # The default configuration would add extensions of its own.
  printf '[req]\ndistinguished_name = name\n[name]\n' >/tmp/openssl.cnf
  openssl req -x509 -config /tmp/openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout /tmp/key.pem -out /tmp/certificate.pem -days "$days" -subj "/CN=$name" "$@" 2>/tmp/log || fail
  (umask 077 && cat /tmp/key.pem /tmp/certificate.pem >"$folder/new.pem")
  chown "0:$group" "$folder/new.pem"
  chmod 640 "$folder/new.pem"
  mv "$folder/new.pem" "$folder/server.pem"
}

fail() {
  cat /tmp/log >&2
  exit 1
}

main
