"""What a bulk run takes: folders, tar archives, listings, here and far away; and what it says of rows that are none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import fsspec
import pytest
from small_batches import photograph

from gpen_core import archives
from gpen_core.bulk import afar, collect_archive, inputs
from gpen_core.errors import InputError, MissingPackageError, PictureError


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def targets(inputs: list[Path | str], out: str = "/out", **options) -> dict[str, str]:
    return {item.source: item.target for item in collect_archive([str(i) for i in inputs], out, **options)}


def faults(inputs: list[Path | str]) -> list[str]:
    return [item.fault for item in collect_archive([str(i) for i in inputs], "/out") if item.fault]


def test_a_folder_gives_the_names_that_the_plain_command_gives(tmp_path):
    from gpen_core.batch import collect

    for name in ("a.png", "b/c.jpg", "b/c.png", "d.gif"):
        photograph(tmp_path / "in" / name, 1)
    plain = {str(item.source): str(item.target) for item in collect([tmp_path / "in"], Path("/out"))}
    assert targets([tmp_path / "in"]) == plain
    assert set(targets([tmp_path / "in"], suffix=".png").values()) == {
        "/out/a.png", "/out/b/c.jpg.png", "/out/b/c.png.png", "/out/d.png"
    }  # fmt: skip


def test_an_archive_is_a_folder_of_its_members_named_or_found(tmp_path):
    data = photograph(tmp_path / "one.png", 1).read_bytes()
    shard = tar(tmp_path / "in" / "shard-0.tar", {"x/1.png": data, "x/1.json": b"{}", "2.jpg": data})
    wanted = {f"{shard}/x/1.png": "/out/shard-0/x/1.png", f"{shard}/2.jpg": "/out/shard-0/2.jpg"}
    assert targets([shard]) == targets([tmp_path / "in"]) == wanted
    items = collect_archive([str(shard)], "/out")
    assert [item.entry.read() for item in items] == [data, data]


def test_of_members_with_one_name_the_last_counts_as_tar_has_it(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name, data in (("a.png", b"old"), ("b.png", b"other"), ("./a.png", b"new")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    items = collect_archive([str(tmp_path / "s.tar")], "/out")
    assert {item.target: item.entry.read() for item in items} == {"/out/s/a.png": b"new", "/out/s/b.png": b"other"}


def test_a_listing_names_pictures_and_perhaps_results(tmp_path):
    (tmp_path / "list.csv").write_text("input,output\na/1.png,\na/b/2.png,\n/elsewhere/3.png,three.jpg\n")
    assert targets([tmp_path / "list.csv"]) == {
        f"{tmp_path}/a/1.png": f"/out{tmp_path}/a/1.png",
        f"{tmp_path}/a/b/2.png": f"/out{tmp_path}/a/b/2.png",
        "/elsewhere/3.png": "/out/three.jpg",
    }
    (tmp_path / "near.csv").write_text("input\na/1.png\na/b/2.png\n")
    assert list(targets([tmp_path / "near.csv"]).values()) == ["/out/1.png", "/out/b/2.png"]


def test_a_row_that_asks_for_a_second_result_of_a_picture_says_so(tmp_path):
    (tmp_path / "list.csv").write_text("input,output\nx.jpg,a.png\nx.jpg,b.png\nx.jpg,a.png\ny.jpg,\ny.jpg,\n")
    found = targets([tmp_path / "list.csv"])
    assert [found[f"{tmp_path}/{name}.jpg"] for name in "xy"] == ["/out/a.png", "/out/y.jpg"]
    (said,) = faults([tmp_path / "list.csv"])
    assert said.startswith(f"{tmp_path}/list.csv, row 2: {tmp_path}/x.jpg becomes a.png already")


def test_a_pattern_takes_listings_where_it_ends_as_they_do(tmp_path):
    for name in ("dap", "dip"):
        (tmp_path / f"{name}.csv").write_text(f"input\n{name}.png\n")
        fsspec.filesystem("memory").pipe(f"/lists/{name}.csv", f"input\nmemory://set/{name}.png\n".encode())
    photograph(tmp_path / "dup.png", 1)
    assert list(targets([tmp_path / "d?p.csv"]).values()) == ["/out/dap.png", "/out/dip.png"]
    assert list(targets(["memory://lists/d?p.csv"]).values()) == ["/out/dap.png", "/out/dip.png"]
    assert list(targets([tmp_path / "d?p.*"]).values()) == ["/out/dup.png"]


def test_a_listing_may_be_parquet_with_addresses(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"input": ["memory://set/a/1.png", "memory://set/b/2.png", None], "width": [1, 2, 3]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "list.parquet")
    found = targets([tmp_path / "list.parquet"])
    assert list(found.values())[:2] == ["/out/a/1.png", "/out/b/2.png"]
    assert faults([tmp_path / "list.parquet"]) == [
        f"{tmp_path}/list.parquet, row 3: input is None; it must be a path or an address"
    ]


def test_addresses_name_folders_patterns_archives_and_listings(tmp_path):
    data = photograph(tmp_path / "one.png", 1).read_bytes()
    far = fsspec.filesystem("memory")
    far.pipe("/album/a/1.png", data)
    far.pipe("/album/a/notes.txt", b"no picture")
    far.pipe("/album/2.jpg", data)
    far.pipe("/album/s.tar", tar(tmp_path / "s.tar", {"3.png": data}).read_bytes())
    far.pipe("/album/lists/l.csv", b"input\n../a/1.png\nmemory://album/2.jpg\n")
    everything = targets(["memory://album"])
    assert sorted(everything.values()) == ["/out/2.jpg", "/out/a/1.png", "/out/s/3.png"]
    assert list(targets(["memory://album/*.jpg"]).values()) == ["/out/2.jpg"]
    assert list(targets(["memory://album/a/1.png"]).values()) == ["/out/1.png"]
    assert list(targets(["memory://album/s.tar"]).values()) == ["/out/s/3.png"]
    assert len(targets(["memory://album/lists/l.csv"])) == 2
    assert list(targets(["memory://album/2.jpg"], "memory://results").values()) == ["memory:///results/2.jpg"]
    with pytest.raises(InputError, match="memory://nothing/here"):
        targets(["memory://nothing/here"])
    with pytest.raises(MissingPackageError, match="nowhere://album cannot be reached"):
        targets(["nowhere://album"])


class Broken(fsspec.AbstractFileSystem):
    """A store that answers with errors of its own, none of which is an OSError."""

    protocol, cachable = ("broken",), False

    def __getattribute__(self, name: str) -> object:
        if name not in ("info", "find", "glob", "isdir", "exists", "open", "cat_file", "pipe_file", "makedirs"):
            return super().__getattribute__(name)

        def refuse(*place, **how):
            raise tarfile.ReadError if name == "open" else LookupError("NoCredentials: unable to locate credentials")

        return refuse


def test_what_a_store_far_away_raises_is_said_in_a_line(tmp_path, monkeypatch):
    store = Broken()
    for module in (inputs, archives, afar):
        monkeypatch.setattr(module, "remote", lambda address: (store, address.partition("://")[2]))
    for given in ("broken://album", "broken://album/*.png", "broken://album/a.png?signed"):
        with pytest.raises(InputError, match=r"album.* cannot be read \(.*NoCredentials.*\); is the address right\?$"):
            targets([given])
    with pytest.raises(InputError, match=r"the archive broken://a.tar cannot be read \(ReadError\); make it anew"):
        list(archives.scan("broken://a.tar", "a", {".png"}))
    with pytest.raises(InputError, match=r"broken://out cannot be read \(.*NoCredentials"):
        afar.sizes_below("broken://out")
    with pytest.raises(PictureError, match=r"broken://out cannot be read \(.*NoCredentials"):
        afar.Mirror("broken://out", tmp_path / "report.parquet", None)


class Web(fsspec.AbstractFileSystem):
    """Addresses on the web: names of files with their signatures. Asked for a pattern, or whether one is a folder, it
    breaks.
    """

    protocol, cachable = ("https",), False

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self.files = files

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def info(self, path: str, **options) -> dict[str, object]:
        return {"name": path, "size": len(self.files[path]), "type": "file"}

    def open(self, path: str, mode: str = "rb", **options) -> io.BytesIO:
        return io.BytesIO(self.files[path])

    glob = isdir = None


def test_a_signature_behind_an_address_on_the_web_is_no_part_of_a_name_or_pattern(tmp_path, monkeypatch):
    shard = tar(tmp_path / "s.tar", {"x/1.png": b"picture"}).read_bytes()
    signed, listing = "https://host/d/a.jpg?sig=x/y", b"input\nb.jpg?sig=p/q*\nc.png\n"
    web = Web({signed: b"", "https://host/d/s.tar?sig=x/y": shard, "https://host/d/l.csv?sig=x/y": listing})
    for module in (inputs, archives):
        monkeypatch.setattr(module, "remote", lambda address: (web, address))
    found = targets(list(web.files))
    assert found == {
        signed: "/out/a.jpg",
        "https://host/d/s.tar?sig=x/y/x/1.png": "/out/s/x/1.png",
        "https://host/d/b.jpg?sig=p/q*": "/out/b.jpg",
        "https://host/d/c.png": "/out/c.png",
    }


def test_what_cannot_be_tried_is_an_item_that_says_so(tmp_path):
    data = photograph(tmp_path / "one.png", 1).read_bytes()
    whole = tar(tmp_path / "whole.tar", {"../../out.png": data, "/1.png": data, "2.png": data}).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) - 12_000])
    (tmp_path / "text.tar").write_bytes(b"no archive" * 200)
    (tmp_path / "list.csv").write_text("input,output\n,x.png\na.png,../../b.png\nc.png,c.png\n")
    assert faults([tmp_path / "whole.tar"]) == [
        f"{tmp_path}/whole.tar/../../out.png: its name leads out of the folder of results; name it otherwise"
    ]
    assert "/out/whole/1.png" in targets([tmp_path / "whole.tar"]).values()
    assert [fault.split(" (")[0] for fault in faults([tmp_path / "text.tar"])] == [
        f"the archive {tmp_path}/text.tar cannot be read"
    ]
    assert faults([tmp_path / "list.csv"]) == [
        f"{tmp_path}/list.csv, row 1: input is ''; it must be a path or an address",
        f"{tmp_path}/list.csv, row 2: ../../b.png leads out of the folder of results; name it otherwise",
    ]
    assert all(target.startswith("/out/") and ".." not in target for target in targets([tmp_path]).values())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "path\na.png\n", "has the columns path; it needs 'input'"),
        ("l.csv", "", "has the columns none; it needs 'input'"),
        ("l.parquet", "no table", r"l\.parquet cannot be read"),
        ("l.csv", "input,output\na.png,x.png\nb.png,x.png\n", "would both become"),
        ("l.csv", f"input\n{'a' * 140_000}.png\n", r"l\.csv cannot be read \(field larger than field limit"),
    ],
)
def test_a_listing_that_is_none_is_refused_in_a_line(name, text, said, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(text)
    with pytest.raises((InputError, ValueError), match=said) as refused:
        collect_archive([str(tmp_path / name)], "/out")
    assert "\n" not in str(refused.value)


def test_a_result_in_the_place_of_its_picture_is_refused_without_a_flag_that_bulk_has_not(tmp_path):
    photograph(tmp_path / "a.png", 1)
    with pytest.raises(PictureError, match=r"a\.png is the input itself; choose another folder or name$"):
        collect_archive([str(tmp_path)], str(tmp_path))


def test_films_among_the_pictures_are_said_to_be_passed_over(tmp_path):
    import fsspec

    data = photograph(tmp_path / "in" / "a.png", 1).read_bytes()
    far = fsspec.filesystem("memory")
    for name in ("b.mp4", "deep/c.MKV"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"a film")
        far.pipe_file(f"/films/{name}", b"a film")
    far.pipe_file("/films/a.png", data)
    for place in (str(tmp_path / "in"), "memory://films"):
        with pytest.warns(UserWarning, match=f"^2 films in {place} passed over; `gpen restore` does films$"):
            assert list(targets([place]).values()) == ["/out/a.png"]


def test_an_empty_place_is_refused(tmp_path):
    with pytest.raises(InputError, match="no picture found"):
        collect_archive([str(tmp_path)], "/out")
