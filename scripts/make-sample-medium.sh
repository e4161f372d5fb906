#!/usr/bin/env bash
# Builds a real medium for whoever has no SlapOS at hand: DIR/{software,packages,miscellaneous} with archives of
# "compiled software releases" that are made of real Debian packages and laid out as slapgrid lays them out.
# Nothing is installed, no root is needed: packages are downloaded and unpacked in a temporary folder.
set -euo pipefail

readonly SOFTWARE_ROOT=/opt/slapgrid
readonly URL_BASE=https://lab.nexedi.com/nexedi/slapos/raw

# What a release is made of. One line a thing:
#   part NAME PACKAGE…     becomes parts/NAME (usr/ of the packages is its top)
#   egg PACKAGE            becomes eggs/NAME-VERSION-pyX.Y.egg
#   develop-egg PACKAGE    becomes develop-eggs/NAME-VERSION-pyX.Y-linux-ARCH.egg
# `a|b` is whichever the distribution has, the first one preferred; `?a` is taken only where it exists.
readonly PYTHON='libpython3.11-minimal|libpython3.10-minimal|libpython3.12-minimal|libpython3.13-minimal
  libpython3.11-stdlib|libpython3.10-stdlib|libpython3.12-stdlib|libpython3.13-stdlib
  python3.11-minimal|python3.10-minimal|python3.12-minimal|python3.13-minimal
  python3.11|python3.10|python3.12|python3.13'
readonly ICU='libicu72|libicu70|libicu74|libicu76'

readonly RE6STNET_SMALL="
part openssl openssl libssl3|libssl3t64
part babeld babeld
part openvpn openvpn liblzo2-2 libpkcs11-helper1|libpkcs11-helper1t64
part iproute2 iproute2
part ca-certificates ca-certificates
egg python3-six
egg python3-openssl
develop-egg python3-miniupnpc
"
readonly RE6STNET="$RE6STNET_SMALL
part python3 ${PYTHON//$'\n'/ }
part git git
part sqlite3 sqlite3 libsqlite3-0
egg python3-setuptools
develop-egg python3-cryptography
"
readonly RAPID_CDN="
part openssl openssl libssl3|libssl3t64
part curl curl libcurl4|libcurl4t64 libnghttp2-14 libbrotli1
part brotli brotli
part nginx nginx ?nginx-core
part haproxy haproxy
part trafficserver trafficserver libpcre2-8-0
part python3 ${PYTHON//$'\n'/ }
part icu $ICU
part ca-certificates ca-certificates
egg python3-six
egg python3-requests
develop-egg python3-cryptography
"
readonly SLAPOS_MASTER="
part openssl openssl libssl3|libssl3t64
part python3 ${PYTHON//$'\n'/ }
part mariadb mariadb-server-core|mariadb-server-core-10.6 mariadb-client-core|mariadb-client-core-10.6
part icu $ICU
part git git
part nodejs nodejs ?libnode108 ?libnode72 ?libnode109 ?libnode115
part haproxy haproxy
part ca-certificates ca-certificates
egg python3-six
egg python3-setuptools
egg python3-requests
egg python3-twisted
develop-egg python3-numpy
develop-egg python3-scipy
develop-egg python3-matplotlib
develop-egg python3-lxml
develop-egg python3-pil
"
readonly KVM="
part openssl openssl libssl3|libssl3t64
part qemu qemu-system-x86 qemu-system-common qemu-system-data qemu-utils
part seabios seabios
part ipxe ipxe-qemu
part ca-certificates ca-certificates
egg python3-six
develop-egg python3-miniupnpc
"

usage() {
  cat <<'USAGE'
Usage: make-sample-medium.sh [--small] DIR

Makes DIR/software (archives of compiled software releases), DIR/packages (a .deb)
and DIR/miscellaneous, to try the cache with. The releases are real Debian packages
in the layout of slapgrid; their names say ubuntu-22.04 as the guide's do. They are
for importing, serving and unpacking, not for running.

  --small   one release of a few MB instead of four releases
  --help    this text

Needs a Debian or Ubuntu with apt-get (run `apt-get update` once before), python3
and xz; no root. Downloads about 100 MB, uses 1 GB in $TMPDIR for the time it runs.
Refuses a DIR whose software/ already holds archives.

Example: make-sample-medium.sh /tmp/sample-medium && cache import /tmp/sample-medium/software
USAGE
}

fail() { # STATUS MESSAGE…
  local status=$1
  shift
  printf 'make-sample-medium: %s\n' "$@" >&2
  exit "$status"
}

say() { printf '%s\n' "$*" >&2; }

# ---------------------------------------------------------------- packages

readonly APT_HINT="Is there a network? Run 'apt-get update' as root first, then start again."
declare -A offer=()  # package -> the version to download
declare -A chosen=() # what a release list says (`a|b`) -> the package this distribution has

# Package words of release lists, one a line: "part NAME a|b ?c" -> a|b, ?c
words_of() {
  local kind rest word
  while read -r kind rest; do
    case $kind in
      part) rest=${rest#* } ;;
      '') continue ;;
    esac
    for word in $rest; do printf '%s\n' "$word"; done
  done <<<"$1"
}

# Packages that a source offers, as "NAME VERSION", the newest last. An installed version that no source offers any
# more has no Filename: it can't be downloaded.
offered() { # apt-cache's options and package names
  { apt-cache show "$@" 2>/dev/null || true; } |
    awk '/^Package: /{name=$2} /^Version: /{version=$2} /^Filename: /{print name, version}' | tac
}

choose_packages() { # LISTS
  local -a words names
  local word name version
  mapfile -t words < <(words_of "$1" | LC_ALL=C sort -u)
  mapfile -t names < <(printf '%s\n' "${words[@]#\?}" hello | tr '|' '\n' | LC_ALL=C sort -u)
  # apt's own choice last, so that it wins; other versions serve where a foreign package took the name (nodejs).
  while read -r name version; do offer[$name]=$version; done < <(
    offered "${names[@]}"
    offered --no-all-versions "${names[@]}"
  )
  for word in "${words[@]}" hello; do
    chosen[$word]=
    while read -r name; do
      if [[ -n ${offer[$name]:-} ]]; then
        chosen[$word]=$name
        break
      fi
    done < <(tr '|' '\n' <<<"${word#\?}")
    if [[ -z ${chosen[$word]} && $word != \?* ]]; then
      fail 1 "apt-get knows no package ${word//|/ or }." "$APT_HINT"
    fi
  done
}

download_packages() {
  local -a packages=()
  local name
  while read -r name; do
    packages+=("$name=${offer[$name]}")
  done < <(printf '%s\n' "${chosen[@]}" | sed '/^$/d' | LC_ALL=C sort -u)
  say "Downloading ${#packages[@]} packages …"
  # The sandbox user of apt-get can't write into a private folder; as an ordinary user the option changes nothing.
  if ! (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}") >"$work/apt.log" 2>&1; then
    cat "$work/apt.log" >&2
    fail 1 "apt-get can't download the packages; its own words are above." "$APT_HINT"
  fi
}

unpack_package() { # PACKAGE FOLDER
  local -a debs=("$work/debs/${1}"_*.deb)
  [[ ${#debs[@]} -eq 1 && -f ${debs[0]} ]] || fail 1 "apt-get said nothing, but didn't download $1."
  dpkg -x "${debs[0]}" "$2"
}

# ---------------------------------------------------------------- a release, as slapgrid leaves it

add_part() { # RELEASE NAME WORD…
  local release=$1 name=$2 word top link target
  local stage=$work/stage part=$1/parts/$2
  shift 2
  rm -rf "$stage"
  mkdir -p "$stage" "$part"
  for word in "$@"; do
    [[ -z ${chosen[$word]} ]] || unpack_package "${chosen[$word]}" "$stage"
  done
  rm -rf "$stage"/usr/share/{doc,lintian,bug}
  chmod -R u+rwX,a-s "$stage"
  # `cp --link` costs no second copy; the links to the stage go away with it.
  if [[ -d $stage/usr ]]; then cp -a --link "$stage/usr/." "$part/"; fi
  for top in "$stage"/*; do
    if [[ ${top##*/} != usr ]]; then cp -a --link "$top" "$part/"; fi
  done
  rm -rf "$stage"
  # An absolute link of a package means the same file below the part.
  while IFS= read -r -d '' link; do
    target=$(readlink "$link")
    target=${target#/usr}
    ln -sfn "$SOFTWARE_ROOT/${release##*/}/parts/$name$target" "$link"
  done < <(find "$part" -type l -lname '/*' -print0)
}

add_egg() { # FOLDER SUFFIX WORD
  local folder=$1 suffix=$2 package=${chosen[$3]} stage=$work/stage site info name version
  rm -rf "$stage"
  mkdir -p "$stage" "$folder"
  unpack_package "$package" "$stage"
  site=$stage/usr/lib/python3/dist-packages
  [[ -d $site ]] || fail 1 "$package has no Python package inside."
  # Links to files of other packages would lead out of the release.
  find "$site" -type l \( -xtype l -o -lname '/*' \) -delete
  name=${package#python3-}
  for info in "$site"/*.egg-info "$site"/*.dist-info; do
    [[ -e $info ]] || continue
    name=${info##*/}
    name=${name%.*-info}
    if [[ -d $info ]]; then
      mv "$info" "$site/EGG-INFO"
    else
      mkdir "$site/EGG-INFO"
      mv "$info" "$site/EGG-INFO/PKG-INFO"
    fi
    break
  done
  if [[ $name != *-* ]]; then
    version=${offer[$package]#*:}
    name=$name-${version%%[-+]*}
  fi
  mv "$site" "$folder/$name-$suffix.egg"
  rm -rf "$stage"
}

# What the largest releases have and a few packages may not: names that don't fit the tar header, or aren't ASCII.
add_awkward_names() { # RELEASE
  local release=$1 deep gadget installed=$SOFTWARE_ROOT/${1##*/}
  deep=parts/erp5/product/ERP5/bootstrap/erp5_core/SkinTemplateItem/portal_skins/erp5_core
  mkdir -p "$release/$deep"
  printf 'return context.getTitle()\n' >"$release/$deep/ERP5Site_getModelConfigurationTitle.py"
  deep=parts/renderjs
  gadget=node_modules/@nexedi/renderjs-gadget-interface-validator
  while ((${#deep} < 256)); do deep=$deep/$gadget; done
  mkdir -p "$release/$deep"
  printf 'module.exports = {};\n' >"$release/$deep/index.js"
  # Link targets have a field of 100 bytes of their own: a symbolic one, a hard one.
  ln -s "$installed/$deep/index.js" "$release/parts/renderjs/main.js"
  ln "$release/$deep/index.js" "$release/parts/renderjs/zz-index.js"
  mkdir -p "$release/parts/template/modèles"
  printf 'title = Modèle de déploiement\n' >"$release/parts/template/modèles/Modèle-de-déploiement-配置.cfg"
}

add_programs() { # RELEASE
  local release=$1 installed=$SOFTWARE_ROOT/${1##*/} part program
  local -a programs
  mkdir -p "$release/bin"
  for part in "$release"/parts/*; do
    mapfile -d '' -t programs < <(
      find "$part/bin" "$part/sbin" -maxdepth 1 -type f -perm -u+x -print0 2>/dev/null | LC_ALL=C sort -z
    )
    ((${#programs[@]})) || continue
    for program in "${programs[@]}"; do
      ln -sf "$installed${program#"$release"}" "$release/bin/${program##*/}"
    done
    # As `make install` leaves gcc and gcc-12, python and python3: one file, two names.
    mkdir -p "$part/libexec"
    ln "${programs[0]}" "$part/libexec/${programs[0]##*/}-real"
  done
  cat >"$release/bin/buildout" <<SCRIPT
#!$installed/parts/python3/bin/python3
import sys
sys.path[0:0] = ['$installed/eggs']
import zc.buildout.buildout

if __name__ == '__main__':
    sys.exit(zc.buildout.buildout.main())
SCRIPT
  chmod 755 "$release/bin/buildout"
  ln -s buildout "$release/bin/bootstrap"
}

add_buildout_files() { # RELEASE URL
  local release=$1 url=$2 installed=$SOFTWARE_ROOT/${1##*/} part name
  # ConfigParser of Python, which slapgrid writes it with, ends a section with an empty line.
  printf '[buildout]\nextends = %s\n\n' "$url" >"$release/buildout.cfg"
  {
    printf '[buildout]\ninstalled_develop_eggs =\nparts ='
    for part in "$release"/parts/*; do printf ' %s' "${part##*/}"; done
    for part in "$release"/parts/*; do
      name=${part##*/}
      printf '\n\n[%s]\n__buildout_installed__ = %s/parts/%s\n' "$name" "$installed" "$name"
      printf '__buildout_signature__ = slapos.recipe.cmmi-0.22 zc.buildout-3.0.1\nrecipe = slapos.recipe.cmmi'
    done
    printf '\n'
  } >"$release/.installed.cfg"
  # Python's time.asctime(), without an end of line.
  printf '%s' "$(LC_ALL=C date '+%a %b %e %H:%M:%S %Y')" >"$release/.completed"
}

build_release() { # FOLDER URL LIST
  local release=$1 url=$2 kind rest python suffix=py3.11
  local -a words
  python=$(words_of "$3" | sed -n 's/^\(python3\.[^|]*\)-minimal.*/&/p')
  # A release without a Python of its own still names one in its eggs.
  if [[ $python ]]; then
    suffix=${chosen[$python]#python}
    suffix=py${suffix%-minimal}
  fi
  mkdir -p "$release"/{bin,eggs,parts,develop-eggs}
  while read -r kind rest; do
    read -r -a words <<<"$rest"
    case $kind in
      part) add_part "$release" "${words[@]}" ;;
      egg) add_egg "$release/eggs" "$suffix" "${words[@]}" ;;
      develop-egg) add_egg "$release/develop-eggs" "$suffix-linux-$(uname -m)" "${words[@]}" ;;
    esac
  done <<<"$3"
  add_awkward_names "$release"
  add_programs "$release"
  add_buildout_files "$release" "$url"
}

# ---------------------------------------------------------------- packing

pack() { # PACKER ARCHIVE ROOT FOLDER
  case $1 in
    tar-gzip) tar -C "$3" -czf "$2" "$4" ;; # word for word as the guide does
    tar-xz) XZ_OPT='-T0 -3' tar -C "$3" -cJf "$2" "$4" ;;
    python)
      PYTHONUTF8=1 python3 - "$2" "$3/$4" <<'PYTHON'
import os, sys, tarfile

with tarfile.open(sys.argv[1], 'w:gz') as archive:
    archive.add(sys.argv[2], arcname=os.path.basename(sys.argv[2]))
PYTHON
      ;;
  esac
}

declare -a table=()

# Leaves the archive in the temporary folder: DIR gets all archives at the end, or none.
make_release() { # NAME VERSION PACKER LIST
  local name=$1 version=$2 packer=$3 archive url key size unpacked
  url=$URL_BASE/$version/software/$name/software.cfg
  key=$(printf %s "$url" | md5sum | cut -d ' ' -f 1)
  archive=$name-$version-ubuntu-22.04.tar.gz
  if [[ $packer == tar-xz ]]; then archive=${archive%.gz}.xz; fi
  say "Building $archive …"
  build_release "$work/root/$key" "$url" "$4"
  unpacked=$(du -s --apparent-size --block-size=1 "$work/root/$key" | cut -f 1)
  pack "$packer" "$work/archives/$archive" "$work/root" "$key"
  size=$(stat -c %s "$work/archives/$archive")
  rm -rf "$work/root/${key:?}"
  table+=("$(printf '%-42s %8s %9s  %-8s  %s' "$archive" "$(human "$size")" "$(human "$unpacked")" "$packer" "$url")")
}

human() { numfmt --to=si --format=%.1f "$1"; }

require_free_space() { # FOLDER MEGABYTES
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 {print $4}')
  ((free >= $2)) || fail 1 "$1 has $free MB left, $2 MB are needed. (Another temporary folder: TMPDIR=… $0 …)"
}

refuse_filled() { # FOLDER
  local found
  found=$(find "$1" -maxdepth 1 -regex '.*\.\(tar\(\.[^.]*\)?\|tgz\|tbz2?\|txz\)' -print -quit 2>/dev/null || true)
  [[ -z $found ]] ||
    fail 2 "$found is there already; nothing is overwritten." 'Give another DIR, or remove the archives first.'
}

# ---------------------------------------------------------------- main

work=
dir=
# shellcheck disable=SC2329 # called by the trap
clean_up() {
  if [[ -n $work ]]; then rm -rf "$work"; fi
  if [[ -n $dir ]]; then rm -f "$dir"/software/.*.part; fi
}

main() {
  local small='' argument command file
  for argument in "$@"; do
    case $argument in
      -h | --help) usage; exit 0 ;;
      --small) small=yes ;;
      -*) fail 2 "unknown option $argument; --help tells the options." ;;
      '') fail 2 'DIR is empty.' ;;
      *) [[ -z $dir ]] || fail 2 "one DIR, please: $dir or $argument?"; dir=$argument ;;
    esac
  done
  [[ -n $dir ]] || { usage >&2; exit 2; }
  refuse_filled "$dir/software"
  for command in apt-get apt-cache dpkg tar gzip xz python3 md5sum numfmt awk; do
    command -v "$command" >/dev/null || fail 1 "$command is missing; this script needs a Debian or Ubuntu with it."
  done

  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work=$(mktemp -d)
  mkdir -p "$work"/{debs,root,archives} "$dir"/{software,packages,miscellaneous}
  require_free_space "$work" "$([[ $small ]] && echo 60 || echo 1000)"
  require_free_space "$dir" "$([[ $small ]] && echo 20 || echo 300)"

  choose_packages "$([[ $small ]] && echo "$RE6STNET_SMALL" || echo "$RE6STNET$RAPID_CDN$SLAPOS_MASTER$KVM")"
  download_packages
  if [[ $small ]]; then
    make_release re6stnet 1.0.338 python "$RE6STNET_SMALL"
  else
    make_release re6stnet 1.0.338 tar-gzip "$RE6STNET"
    make_release rapid-cdn 1.0.344 python "$RAPID_CDN"
    make_release slapos-master 1.0.358 tar-gzip "$SLAPOS_MASTER"
    make_release kvm 1.0.352 tar-xz "$KVM"
  fi

  cp "$work"/debs/hello_*.deb "$dir/packages/"
  for file in "$work"/archives/*; do
    # Onto another file system `mv` copies: the name must not show before the bytes are all there.
    mv "$file" "$dir/software/.${file##*/}.part"
    mv -n "$dir/software/.${file##*/}.part" "$dir/software/${file##*/}"
  done

  printf '\n%-42s %8s %9s  %-8s  %s\n' archive size unpacked packer URL
  printf '%s\n' "${table[@]}"
  printf '\nNext:  cache import %q\n' "$dir/software"
}

main "$@"
