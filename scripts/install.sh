#!/bin/sh
# Installs PiCloud from the files of a release, or takes it away again. Run it again with the
# files of another release to upgrade: data and settings stay.
set -eu

usage() {
  cat <<'EOF'
usage: install.sh [flags]
  --from DIR|URL   where the files of the release are (default: the folder of this script)
  --sums SHA256    the SHA-256 of the release's SHA256SUMS, where you know it: then files
                   that came over an unsafe way are safe too
  --arch ARCH      amd64, arm64, armv7 or armv6 (default: this machine's)
  --no-start       do not enable or start the service
  --root DIR       install below DIR, for images: no user is made, nothing is started
  --uninstall      stop and remove program and service; data and settings stay
  --purge          with --uninstall: delete the data, the settings and the user too
EOF
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

from=$(dirname "$0") sums='' arch='' root='' start=yes uninstall='' purge=''
while [ $# -gt 0 ]; do
  case $1 in
  --from | --sums | --arch | --root)
    [ $# -gt 1 ] || { usage >&2; exit 2; }
    eval "${1#--}=\$2"
    shift
    ;;
  --no-start) start='' ;;
  --uninstall) uninstall=yes ;;
  --purge) purge=yes ;;
  -h | --help) usage; exit 0 ;;
  *) printf 'install.sh: %s is not a flag\n' "$1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || fail "--purge goes with --uninstall"

bin=$root/usr/local/bin/picloud
unit=$root/etc/systemd/system/picloud.service
settings=$root/etc/picloud
data=$root/var/lib/picloud

# systemd: true where a running systemd should hear of what we do.
systemd() { [ -z "$root" ] && [ -d /run/systemd/system ] && have systemctl; }

remove() {
  if systemd && [ -e "$unit" ]; then
    systemctl disable --now picloud >/dev/null 2>&1 || true
  fi
  rm -f "$unit" "$bin" "$bin.previous" "$root/etc/systemd/system/multi-user.target.wants/picloud.service"
  systemd && systemctl daemon-reload
  if [ -z "$purge" ]; then
    say "Removed. Data ($data) and settings ($settings) are still there: --uninstall --purge deletes them."
    return
  fi
  rm -rf "$data" "$settings"
  if [ -z "$root" ] && getent passwd picloud >/dev/null 2>&1; then userdel picloud; fi
  say "Removed, with data and settings."
}

# detect prints the architecture of this system's programs: under a 64-bit kernel they may
# have 32 bits, and systemd then allows 32-bit programs only.
detect() {
  bits=$(getconf LONG_BIT 2>/dev/null || echo 64)
  case $(uname -m) in
  x86_64 | amd64) [ "$bits" = 64 ] && echo amd64 ;;
  aarch64 | arm64) if [ "$bits" = 32 ]; then echo armv7; else echo arm64; fi ;;
  armv7* | armv8l) echo armv7 ;;
  armv6*) echo armv6 ;;
  esac
  return 0
}

# get FILE: brings a file of the release into $work.
get() {
  case $from in
  http://* | https://*)
    if have curl; then
      curl -fsSL --retry 3 -o "$work/$1" "${from%/}/$1" || fail "can't get ${from%/}/$1"
    elif have wget; then
      wget -q -O "$work/$1" "${from%/}/$1" || fail "can't get ${from%/}/$1"
    else
      fail "neither curl nor wget is here: download the files of the release yourself, and give their folder with --from"
    fi
    ;;
  *) cp "$from/$1" "$work/$1" || fail "$from holds no $1: give the folder or address of a release with --from" ;;
  esac
}

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

# verify FILE: it is what SHA256SUMS says, or nothing is installed.
verify() {
  want=$(awk -v name="$1" '$2 == name || $2 == "*" name { print $1 }' "$work/SHA256SUMS")
  [ -n "$want" ] || fail "SHA256SUMS does not name $1: these are not the files of one release"
  [ "$(sha256 "$work/$1")" = "$want" ] || fail "$1 is damaged or was changed (its SHA-256 is not the one in SHA256SUMS): get it again"
}

# put MODE FILE DESTINATION: replaces the destination in one step; a running program keeps
# the old file.
put() {
  mkdir -p "$(dirname "$3")"
  cp "$2" "$3.part"
  chmod "$1" "$3.part"
  mv -f "$3.part" "$3"
}

make_user() {
  [ -n "$root" ] || getent passwd picloud >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir /var/lib/picloud --no-create-home --shell /usr/sbin/nologin picloud
}

make_settings() {
  [ -d "$settings" ] || { mkdir -p "$settings" && chmod 750 "$settings"; }
  [ -e "$settings/picloud.env" ] || put 640 "$work/picloud.env" "$settings/picloud.env"
  [ -n "$root" ] || chgrp -R picloud "$settings"
}

install() {
  have sha256sum || fail "sha256sum is missing: install coreutils"
  [ -n "$arch" ] || arch=$(detect)
  [ -n "$arch" ] || fail "there is no release for $(uname -m): build it with Go, see the README"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  get SHA256SUMS
  [ -z "$sums" ] || [ "$(sha256 "$work/SHA256SUMS")" = "$sums" ] || fail "SHA256SUMS is not the one that --sums means"
  for file in "picloud_linux_$arch" picloud.service picloud.env; do
    get "$file"
    verify "$file"
  done
  new=$work/picloud_linux_$arch
  chmod 755 "$new"
  [ -n "$root" ] || "$new" version >/dev/null || fail "the program for $arch does not run here: see --arch"

  make_user
  make_settings
  replace
  sed 's#/usr/bin/picloud#/usr/local/bin/picloud#' "$work/picloud.service" >"$work/unit"
  put 644 "$work/unit" "$unit"
  run
}

# replace puts the program in place. Over an installed one it is an upgrade: the new program
# proves itself on a copy of the data first.
replace() {
  if [ -z "$root" ] && [ -x "$bin" ] && [ -e "$data/picloud.db" ]; then
    "$new" upgrade --binary "$bin" --data-dir "$data" --sums "$work/SHA256SUMS" "$new"
  else
    put 755 "$new" "$bin"
  fi
}

run() {
  if [ -n "$root" ]; then
    [ -z "$start" ] || { mkdir -p "${unit%/*}/multi-user.target.wants" && ln -sf ../picloud.service "${unit%/*}/multi-user.target.wants/picloud.service"; }
    say "Installed below $root: the system needs a user picloud."
  elif ! systemd; then
    say "Installed. There is no systemd here; start it with: picloud serve --data-dir DIR"
  elif [ -z "$start" ]; then
    systemctl daemon-reload
    say "Installed. Start it with: systemctl enable --now picloud"
  else
    systemctl daemon-reload
    systemctl enable picloud >/dev/null 2>&1
    systemctl restart picloud || fail "it does not start: see journalctl -u picloud -n 50"
    say "Installed and running: http://$(hostname):8080/admin/"
    say "The first start logs a link that makes you the owner: journalctl -u picloud | grep setup"
  fi
}

[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run it as root: sudo sh $0"
if [ -z "$root" ] && have dpkg-query && dpkg-query -W -f '${db:Status-Status}' picloud 2>/dev/null | grep -qx installed; then
  fail "PiCloud is here as a Debian package: use apt to upgrade or remove it"
fi
if [ -n "$uninstall" ]; then remove; else install; fi
