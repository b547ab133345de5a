"""Probes of files: what is read that is not the project's, and what is written that is ours."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .table import DONE, Targets, first, found, probe, read


@probe()
def signing_key(targets: Targets) -> str:
    return read(f"{targets.data}/secret.key")


@probe()
def database(targets: Targets) -> str:
    return read(f"{targets.data}/vibe.db")


@probe()
def data_folder(targets: Targets) -> str:
    """Whatever of it can be listed."""
    return DONE if "vibe.db" in os.listdir(targets.data) else ""


@probe()
def records(targets: Targets) -> str:
    """What the local runtime writes down: passwords and tokens of each workspace."""
    return first([lambda name=name: read(f"{targets.data}/{name}/{targets.other}.json") for name in ("run",)])


@probe()
def logs(targets: Targets) -> str:
    return read(f"{targets.data}/logs/{targets.other}-opencode.log")


@probe()
def other_project(targets: Targets) -> str:
    return read(f"{targets.data}/workspaces/{targets.other}/README.md")


@probe()
def other_home(targets: Targets) -> str:
    return read(f"{targets.data}/homes/{targets.other}/.netrc")


@probe()
def other_given(targets: Targets) -> str:
    return read(f"{targets.data}/given/{targets.other}/guidance.md")


@probe()
def home_of_the_user(targets: Targets) -> str:
    return read(f"{targets.person}/.ssh/id_ed25519")


@probe(root=True)
def root_home(targets: Targets) -> str:
    return DONE if os.listdir("/root") else ""


@probe(root=True)
def passwords_of_the_system(targets: Targets) -> str:
    return DONE if "root:" in Path("/etc/shadow").read_text() else ""


@probe()
def temporary_files(targets: Targets) -> str:
    return read(targets.scratch)


@probe()
def shared_memory_files(targets: Targets) -> str:
    return read(targets.shared)


@probe()
def hard_link(targets: Targets) -> str:
    """To a file outside, from where the agent may write."""
    link = Path(targets.tree, "hard")
    os.link(f"{targets.data}/secret.key", link)
    return read(link)


@probe()
def symbolic_link(targets: Targets) -> str:
    link = Path(targets.tree, "soft")
    link.symlink_to(f"{targets.data}/secret.key")
    return read(link)


@probe()
def up_from_the_tree(targets: Targets) -> str:
    """By `..`, from folders that are open."""
    for start in (targets.tree, targets.home, targets.given):
        with suppress(OSError):
            folder = os.open(start, os.O_RDONLY)
            for _ in range(6):
                with suppress(OSError):
                    return found(os.read(os.open("secret.key", os.O_RDONLY, dir_fd=folder), 100))
                folder = os.open("..", os.O_RDONLY, dir_fd=folder)
    return ""


@probe()
def inherited_files(targets: Targets) -> str:
    """From what is open in this very process, and in those that started it."""
    pid, tries = os.getpid(), list[Callable[[], str]]()
    while pid > 1:
        with suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                tries.append(lambda fd=f"/proc/{pid}/fd/{number}": os.readlink(fd))
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return DONE if any(f"{targets.data}/logs/" in _quietly(each) for each in tries) else ""


def _quietly(read_link: Callable[[], str]) -> str:
    with suppress(OSError):
        return read_link()
    return ""


@probe()
def write_outside(targets: Targets) -> str:
    Path(targets.data, "planted").write_text("x")
    return DONE


@probe()
def write_to_the_base(targets: Targets) -> str:
    path = Path(targets.workspace, "base", "planted")
    path.write_text("x")
    path.unlink()
    return DONE


@probe()
def write_beside_the_trees(targets: Targets) -> str:
    path = Path(targets.workspace, "planted")
    path.write_text("x")
    path.unlink()
    return DONE


@probe()
def write_to_another_project(targets: Targets) -> str:
    Path(targets.data, "workspaces", targets.other, "planted").write_text("x")
    return DONE


@probe(root=True)
def write_to_the_system(targets: Targets) -> str:
    path = Path("/usr/local/lib/vibe-probe")
    path.write_text("x")
    path.unlink()
    return DONE


def _appends(name: str, path: Callable[[Targets], Path]) -> None:
    def run(targets: Targets) -> str:
        with path(targets).open("ab") as file:
            file.write(b"\n")
        return DONE

    run.__name__ = f"write_{name}"
    probe()(run)


_appends("configuration", lambda targets: Path(targets.workspace, ".opencode", "config.json"))
_appends("guard", lambda targets: Path(targets.given, "config", "opencode", "plugin", "guard.js"))
_appends("bash_env", lambda targets: Path(targets.given, "bash_env"))
_appends("supervisor", lambda targets: Path(targets.given, "command.sh"))
_appends("models", lambda targets: Path(targets.given, "models.json"))
_appends("guidance", lambda targets: Path(targets.given, "guidance.md"))
_appends("bounds", lambda targets: Path(targets.given, "bounds"))
_appends("hub", lambda targets: Path(targets.workspace, "hub", "config"))
_appends("journal", lambda targets: Path(targets.workspace, ".opencode", "vibe", "journal"))


def _replaces(name: str, path: Callable[[Targets], Path]) -> None:
    """Exchange a folder for one of the agent's own, and put it back."""

    def run(targets: Targets) -> str:
        folder = path(targets)
        aside = folder.with_name(folder.name + "-aside")
        folder.rename(aside)
        folder.mkdir()
        folder.rmdir()
        aside.rename(folder)
        return DONE

    run.__name__ = f"replace_{name}"
    probe()(run)


_replaces("opencode_folder", lambda targets: Path(targets.workspace, ".opencode"))
_replaces("given", lambda targets: Path(targets.given))
_replaces("workspace", lambda targets: Path(targets.workspace))
_replaces("tasks", lambda targets: Path(targets.workspace, "tasks"))
_replaces("hub", lambda targets: Path(targets.workspace, "hub"))
_replaces("base", lambda targets: Path(targets.workspace, "base"))
_replaces("home", lambda targets: Path(targets.home))
_replaces("folder_above", lambda targets: Path(targets.workspace).parent)
_replaces("data_folder", lambda targets: Path(targets.data))
_replaces("folder_above_data", lambda targets: Path(targets.data).parent)


@probe()
def remove_configuration(targets: Targets) -> str:
    path = Path(targets.workspace, ".opencode", "config.json")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return DONE


@probe()
def plant_plugin(targets: Targets) -> str:
    """Where OpenCode takes plugins from by itself: its user's folder, that of its folder, the home's.

    Of a tree's own it loads none: that is the repository's, and shown elsewhere.
    """

    def plant(folder: Path) -> str:
        (folder / "plugin").mkdir(exist_ok=True)
        (folder / "plugin" / "z.js").write_text("export default {}\n")
        return DONE

    user = Path(os.environ.get("XDG_CONFIG_HOME", ""), "opencode")
    folders = (Path(targets.workspace, ".opencode"), Path(targets.home, ".opencode"), user)
    return first([lambda folder=folder: plant(folder) for folder in folders])


@probe(root=True)
def device_file(targets: Targets) -> str:
    """Make a device, and read it."""
    made = Path(targets.tree, "device")
    os.mknod(made, stat.S_IFCHR | 0o600, os.makedev(1, 8))  # /dev/random's own number: it harms nobody
    with made.open("rb") as file:
        file.read(1)
    return DONE


@probe(root=True)
def devices(targets: Targets) -> str:
    """Any device of those that lead to the machine."""
    for name in os.listdir("/dev"):
        if name in ("kmsg", "mem", "kvm", "fuse", "loop-control") or name.startswith(("sd", "vd", "nvme")):
            with suppress(OSError):
                os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
                return DONE
    return ""


@probe()
def kernel_interface(targets: Targets) -> str:
    """What /sys tells of the machine."""
    return DONE if os.listdir("/sys") else ""


@probe()
def sockets_by_path(targets: Targets) -> str:
    """A socket of the data folder, and one that stands for Docker's."""

    def ask(path: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(path)
            return found(connection.recv(100))

    got = [first([lambda path=path: ask(path)]) for path in targets.sockets.values()]
    return next((each for each in got if each), "")


@probe()
def copy_of_everything(targets: Targets) -> str:
    """The whole file system, as far as it can be walked from its root: any planted file by its name."""
    wanted = os.path.relpath(targets.data, "/").split(os.sep)
    place = Path("/")
    for part in wanted:
        if part not in os.listdir(place):
            return ""
        place /= part
    return DONE if "secret.key" in os.listdir(place) else ""
