#!/usr/bin/env bash
# Tests what ./run package made as a user would install it. Run it as root on Debian or Ubuntu, with a network.
#
#   packaging/check.sh [FOLDER]      FOLDER is dist/ by default
#
# It checks the files with Debian's tools, installs the wheel into an empty environment, and installs the Debian package
# in a fresh Debian made by debootstrap. There the program must open its window on X11 and on Wayland, compute, export
# and quit as an ordinary user, keep its settings over an upgrade, and leave no files when it is removed. Debian's
# packages come from the mirror that apt uses here; MIRROR, SUITE and COMPONENTS (Ubuntu's: main,universe) set another.
set -euo pipefail

here=$(cd -- "$(dirname -- "$0")/.." && pwd)
dist=$(cd -- "${1:-$here/dist}" && pwd)
say() { printf '\n== %s\n' "$1"; }
fail() { printf 'check.sh: %s\n' "$1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "a fresh Debian can only be made by root; start this with sudo."
# In a separate mount namespace, so that the mounts below are private to this script and end with it.
[ "${LOGITSCOPE_UNSHARED-}" ] || exec env LOGITSCOPE_UNSHARED=1 unshare --mount --propagation private -- "$0" "$dist"

needed=(appstream debootstrap desktop-file-utils lintian man-db python3-venv strace)
missing=()
for package in "${needed[@]}"; do
    [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} = 0 ] || fail "this needs what is not installed; install it with: apt install ${missing[*]}"

deb=$(echo "$dist"/logitscope_*.deb) wheel=$(echo "$dist"/logitscope-*.whl)
[ -f "$deb" ] && [ -f "$wheel" ] || fail "$dist holds no Debian package and wheel; make them with: ./run package"
work=$(mktemp -d)
trap 'umount --quiet "$work/root/proc" "$work/root/dev/shm" 2>/dev/null || :; rm -rf --one-file-system -- "$work"' EXIT

say "sums, and what Debian's own judges say"
(cd "$dist" && sha256sum --check --quiet SHA256SUMS)
lintian --fail-on error --allow-root "$deb"
dpkg-deb --extract "$deb" "$work/deb"
desktop-file-validate "$work"/deb/usr/share/applications/logitscope.desktop
appstreamcli validate --no-net "$work"/deb/usr/share/metainfo/*.metainfo.xml
complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z "$work/deb/usr/share/man/man1/logitscope.1.gz" 2>&1 >/dev/null)
[ -z "$complaints" ] || fail "the manual page: $complaints"
for command in $("$work/deb/usr/bin/../lib/logitscope/logitscope" --help | awk '/^commands/ {on = 1; next} on {print $1}'); do
    zgrep -q "^.SS \"logitscope $command\"" "$work/deb/usr/share/man/man1/logitscope.1.gz" || fail "the manual page lacks $command"
done
inside=$work/deb/usr/lib/logitscope/_internal said=$work/deb/usr/share/doc/logitscope
for part in "$inside"/*.dist-info; do
    name=$(sed -n 's/^Name: //p' "$part/METADATA" | head -1)
    [ "$name" = logitscope ] || [ -s "$said/licences/$name.txt" ] || fail "no licence of $name"
done
twice=$(grep -E '^[^ ]+ [0-9][^ ]*: ' "$said/copyright" | sort | uniq -d)
[ -z "$twice" ] || fail "named twice in the copyright file: $twice"
idle=$(find "$inside" \( -name tests -o -name test -o -name recipe -o -name RECORD -o -name '*.pyi' -o -name '*.h' \) | head)
[ -z "$idle" ] || fail "nobody who uses the program needs $idle"
if grep -rlF "$here/" "$work/deb"; then fail "these hold the path of the checkout, so no other would give the same bytes"; fi
rm -rf -- "$work/deb"

say "the wheel, in an empty environment outside the checkout"
python3 -m venv "$work/venv"
before=$(ls "$work"/venv/lib/python3*/site-packages)
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
added=$(comm -13 <(sort <<<"$before") <(ls "$work"/venv/lib/python3*/site-packages | sort) | tr '\n' ' ')
[[ $added =~ ^desktop_app\ logitscope\ logitscope-[0-9.]+\.dist-info\ $ ]] || fail "the wheel installs $added"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel"
(cd / && "$work/venv/bin/python" -c 'import logitscope; print(logitscope.__name__)' && "$work/venv/bin/logitscope" --selftest && "$work/venv/bin/logitscope" generate "Once upon a time" -n 5 --greedy)
for command in "models list" "generate cat -n 2" "figure cat --step blocks.0.attn.pattern --out $work/figure.svg"; do
    # shellcheck disable=SC2086 # a command is several words
    HOME=$work python3 "$here/tests/watched.py" --own "$work" --own /tmp -- "$work/venv/bin/logitscope" $command >"$work/said" 2>&1 || { cat "$work/said"; fail "the wheel was not quiet: $command"; }
done
rm -rf -- "$work/venv"

say "a fresh Debian"
root=$work/root
codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
suite=${SUITE:-$codename} components=${COMPONENTS:-main}
unset COMPONENTS  # debootstrap uses this name for something else
mirror=${MIRROR:-$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | awk -v release="$codename" '$1 == release {print $2; exit}')}
[ -n "$mirror" ] || fail "apt names no mirror here; set MIRROR."
script=()
[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=(gutsy)  # for a suite newer than debootstrap; the script of all of Ubuntu's suites
debootstrap --variant=minbase --components="$components" "$suite" "$root" "$mirror" "${script[@]}" >"$work/debootstrap.log" || fail "debootstrap: $(tail -3 "$work/debootstrap.log")"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm" || { mkdir -p "$root/dev/shm" && mount -t tmpfs tmpfs "$root/dev/shm"; }
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
quietly() { "$@" >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail "apt could not do it: $*"; }; }
add() { quietly inside apt-get install -y --no-install-recommends "$@"; }
# Packages that others only recommend are removed too: they were installed for the removed ones.
take() { quietly inside apt-get purge -y --autoremove -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false "$@"; }
# `user` runs a command as an ordinary user; `quiet` fails if its output has a word such as error or warning.
user() { inside su -s /bin/sh someone -c "cd ~ && timeout 300 $1" >"$work/said" 2>&1 || { cat "$work/said"; fail "ended with an error: $1"; }; }
quiet() { cat "$work/said"; if grep -iE 'error|traceback|warning|cannot|fail|qt\.' "$work/said"; then fail "the output reports errors, see above"; fi; }
# All files except the caches and records of apt and dpkg, and users' own files.
listing() { (cd "$root" && find . -xdev \( -path ./var/cache -o -path ./var/log -o -path ./var/lib -o -path ./home -o -path ./tmp -o -path ./proc -o -path ./run \) -prune -o -print | sort); }

inside apt-get update -qq
inside useradd --create-home someone
listing >"$work/before"
cp "$deb" "$root/tmp/"

say "the package on a bare system: dependencies come along, and no screen is needed for commands"
add "/tmp/${deb##*/}"
user "logitscope --version"; cat "$work/said"
user "logitscope --selftest"; cat "$work/said"
grep -q '^All is well' "$work/said" || fail "the self-test did not end well"
[ "$(grep -c 'all libraries are present' "$work/said")" = 2 ] || fail "X11 or Wayland lacks a library"
user "logitscope trace 'The cat sat on the' --out trace.safetensors"; quiet
[ -s "$root/home/someone/trace.safetensors" ] || fail "trace wrote no file"
user "logitscope figure 'The cat sat on the' --step blocks.0.attn.pattern --out figure.pdf"; quiet
user "logitscope deck 'The cat sat' --out walk.pptx --jobs 2"; quiet  # tests python-pptx's template and worker processes

say "it calls nobody, and writes where it is told to and into its own folders"
home=/home/someone
watched() {
    python3 "$here/tests/watched.py" --own "$home/.config/logitscope" --own "$home/.local/state/logitscope" --own "$home/.cache" --own "$home/out" --own /tmp -- \
        chroot --userspec=someone:someone "$root" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$home" \
        QT_QPA_PLATFORM=offscreen logitscope "$@" >"$work/said" 2>&1 || { cat "$work/said"; fail "the command failed, used the network or wrote elsewhere: $*"; }
}
inside install -d -o someone -g someone "$home/out"
watched models list
watched generate "Once upon a time" -n 2
watched figure "The cat sat" --step blocks.0.attn.pattern --out "$home/out/figure.svg"
watched deck "The cat sat" --steps tokens,probabilities --jobs 2 --out "$home/out/walk.pptx"
watched --smoke "$home/out/window.svg"
strangers=$(find "$root$home/.cache" -mindepth 1 -maxdepth 1 ! -name logitscope ! -name fontconfig)
[ -z "$strangers" ] || fail "the cache holds what is not ours: $strangers"

say "a screen: X11"
add xvfb xauth
echo '{"logitscope": 1, "state": {"text": "A session of mine", "step": "blocks.1.attn.pattern"}}' >"$root/home/someone/mine.logitscope"
chown --reference="$root/home/someone" "$root/home/someone/mine.logitscope"
user "xvfb-run -a -s '-screen 0 1440x900x24' logitscope --smoke x11.svg"; quiet
[ "$(head -1 "$work/said")" = ready ] || fail "the first word was not ready"
grep -q 'The smoke test types this' "$root/home/someone/x11.svg" || fail "the figure does not hold what was typed"
user "xvfb-run -a -s '-screen 0 1440x900x24' logitscope --smoke session.svg mine.logitscope"; quiet

say "a screen: Wayland"
add weston
cat >"$root/home/someone/wayland.sh" <<'END'
export XDG_RUNTIME_DIR=$(mktemp -d)
backend=headless
weston --version | grep -q ' 1[01]\.' && backend=headless-backend.so  # the backend's name before Weston 12
weston --backend=$backend --socket=screen --width=1440 --height=900 >weston.log 2>&1 &
for _ in $(seq 100); do [ -S "$XDG_RUNTIME_DIR/screen" ] && break; sleep 0.1; done
WAYLAND_DISPLAY=screen QT_QPA_PLATFORM=wayland logitscope --smoke wayland.svg
status=$?
kill $!
exit $status
END
user "sh wayland.sh"; quiet
grep -q 'The smoke test types this' "$root/home/someone/wayland.svg" || fail "the figure does not hold what was typed"

say "a desktop: the menu's entry, the icon, and the program for session files"
add shared-mime-info desktop-file-utils hicolor-icon-theme gtk-update-icon-cache libglib2.0-bin
inside gio mime application/x-logitscope >"$work/said"
grep -q logitscope.desktop "$work/said" || fail "session files open with something else"
user "gio info -a standard::content-type mine.logitscope"; grep -q 'application/x-logitscope' "$work/said" || fail "a session file is taken for something else: $(cat "$work/said")"

say "an upgrade keeps what is the user's"
settings=$root/home/someone/.config/logitscope/settings.json
[ -s "$settings" ] || fail "the program remembered nothing"
kept=$(find "$root/home/someone" -type f -exec sha256sum {} + | sort)
dpkg-deb --raw-extract "$deb" "$work/next"
version=$(dpkg-deb --field "$deb" Version)
sed -i "s/^Version: .*/Version: $version+next/" "$work/next/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$work/next" "$root/tmp/next.deb" >/dev/null
rm -rf -- "$work/next"
add /tmp/next.deb
user "logitscope --version"
[ "$kept" = "$(find "$root/home/someone" -type f -exec sha256sum {} + | sort)" ] || fail "the upgrade touched the user's files"

say "removal leaves nothing"
take weston xvfb xauth gtk-update-icon-cache libglib2.0-bin desktop-file-utils shared-mime-info hicolor-icon-theme
take logitscope
listing >"$work/after"
grep -i logitscope "$work/after" && fail "files of the program are left"
[ "$kept" = "$(find "$root/home/someone" -type f -exec sha256sum {} + | sort)" ] || fail "removal touched the user's files"
comm -13 "$work/before" "$work/after" | grep -vE '^\./(etc|lib\.usr-is-merged|usr/share/(fonts|icons|mime|applications|X11|glib-2.0)|usr/lib/[^/]*/gio)' >"$work/left" || true
if [ -s "$work/left" ]; then cat "$work/left"; fail "these files are left"; fi
say "all is well"
