"""Errors name the mistake, point at it and say what to do."""

from __future__ import annotations

import pickle
from textwrap import dedent

import pytest

from eventlog.errors import UsageError
from eventlog.query.filter import (
    FilterError,
    compile_filter,
    compile_order,
    parse,
    parse_columns,
    parse_order,
)
from eventlog.query.filter.error import WIDTH
from tests.query.filter.rows import NOW, KnownColumns


def refused(text: str) -> FilterError:
    """What is wrong with a filter."""
    with pytest.raises(FilterError) as caught:
        compile_filter(parse(text), KnownColumns(), NOW)
    return caught.value


@pytest.mark.parametrize(
    ("text", "place", "what", "remedy"),
    [
        ("", "", "the filter is empty.", "Leave it out"),
        ("metrics.acc", "", "an operator is missing after metrics.acc.", "Write =, !="),
        ("metrics.acc 1", "1", "after metrics.acc, before 1.", "Write =, !="),
        ("metrics.acc => 1", "=>", "`=>` is no operator.", "Write >=."),
        ("metrics.acc > 1 && name = 'a'", "&&", "`&&` is no operator.", "Write and."),
        ("! metrics.acc > 1", "!", "`!` is no operator.", "Write not, or != for"),
        ("metrics.acc ≥ 1", "≥", "`≥` is no operator.", "Write >=."),
        ("name = “a”", "“", "`“` is no operator.", "straight quotes"),
        ("metrics.acc# > 1", "#", "`#` has no meaning here.", "quoted: metrics.`top 1 %`"),
        ("metrics.acc >", "", "a value is missing.", "Write a number, a text"),
        ("metrics.acc > )", ")", "a value is missing.", "Write a number, a text"),
        ("name = tree", "tree", "tree is no value.", 'in quotes: "tree".'),
        ("name = params.lr", "params.lr", "is a name, and", "'params.lr'"),
        ("name = null", "null", "nothing equals null.", "Write is null"),
        ("name in ('a', null)", "null", "nothing equals null.", "Write is null"),
        ("name = -'a'", "'a'", "a number or a duration is missing after -.", "has no sign"),
        ("name = 'a", "'", "a text is not closed.", "Put a ' at its end"),
        ("metrics.`a > 1", "`", "a quoted name is not closed.", "Put a ` at its end"),
        ("metrics. > 1", "metrics.", "a key is missing after metrics.", "metrics.loss"),
        ("metrcs.acc > 1", "metrcs", "metrcs is no kind of column.", "Did you mean metrics.acc?"),
        ('metrics."a b"min > 1', "min", "an operator is missing", "Did you mean in?"),
        ('metrics.a"b" > 1', '"b"', "an operator is missing after metrics.a, before", "Write ="),
        ("x.acc > 1", "x", "x is no kind of column.", "There are metrics., params., tags."),
        ("1 < metrics.acc", "1", "a name is missing before 1.", "begins with a name"),
        ("and name = 'a'", "and", "a name is missing before and.", "tags.and"),
        ("name = 'a' adn name = 'b'", "adn", "missing before adn.", "Did you mean and?"),
        ("name = 'a' name = 'b'", "name", "missing before name.", "with and, or with or"),
        ("name = 'a' or", "", "a name is missing at the end.", "metrics.acc"),
        ("name lke 'a'", "lke", "an operator is missing after name", "Did you mean like?"),
        ("name contains 'a'", "contains", "before contains.", 'Write like "%…%".'),
        ("name not = 'a'", "=", "after name not, before =.", "ilike or matches after not"),
        ("name is 'a'", "'a'", "null is missing after is.", "compared with = or !="),
        ("name is not 1", "1", "null is missing after is not.", "is not null"),
        ("name in 'a'", "'a'", "in needs a list", 'in ("adam", "sgd")'),
        ("name in ()", ")", "a value is missing.", "Write a number"),
        ("name in ('a' 'b')", "'b'", "a comma or ) is missing before 'b'.", "commas"),
        ("name in ('a'", "(", "the list is not closed.", "Write its )."),
        ("(name = 'a'", "(", "a parenthesis is not closed.", "Write its )."),
        ("name = 'a')", ")", "closed that was not opened.", "Remove it"),
        ("(name = 'a' name", "name", "missing before name.", "Join two conditions"),
        ("metrics.acc between 1, 2", ",", "between needs `and`", "between 1 and 2"),
        ("name like 5", "5", "like needs a text in quotes.", 'like "adam%"'),
        ("name matches ab", "ab", "matches needs a text in quotes.", 'matches "^adam"'),
        ("metrics.acc > 5x", "5x", "neither a number nor a duration.", "(us, ms, s, m, h, d, w)"),
        ("metrics.acc > 1e999", "1e999", "larger than a float64 can be.", "Write inf"),
        ("metrics.acc > " + "9" * 5000, "9" * 5000, "a number has 5,000 ch", "at most 100"),
        ("duration_s > 9999999999d", "9999999999d", "the duration is longer", "999999999d"),
        ("start_time > now - 5", "5", "a duration is missing after now -.", "now - 2h"),
        ("start_time > 2026-11-01", "2026-11-01", "without quotes", '"2026-11-01"'),
        ("name = '\ud800'", "\ud800", "half a character", "Remove it"),
    ],
)
def test_what_cannot_be_read_is_shown(text: str, place: str, what: str, remedy: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    check(caught.value, place, what, remedy)


@pytest.mark.parametrize(
    ("text", "place", "what", "remedy"),
    [
        ("metrics.ac > 1", "metrics.ac", "no run has the metric ac.", "Did you mean metrics.acc?"),
        ("acc > 1", "acc", "no run has the attribute acc.", "Did you mean metrics.acc?"),
        ("metrics.lr > 1", "metrics.lr", "no run has the metric lr.", "Did you mean params.lr?"),
        ("metrics.loss.mn > 1", "metrics.loss.mn", "no run has", "metrics.loss.min or metrics."),
        ("metrics.loss.xxxxx > 1", "metrics.loss.xxxxx", "no run has", "loss.min or metrics.loss."),
        ("metrics.zzz > 1", "metrics.zzz", "metric zzz.", "metrics.acc, metrics.loss, metrics.`a"),
        ("tags.mlflow.user = 'a'", "tags.mlflow.user", "tag mlflow.user.", "There are: tags.team."),
        ("attr.artifact_uri = 'a'", "attr.artifact_uri", "attribute artifact_uri.", "There are: "),
        ("metrics.acc = 'high'", "'high'", "holds numbers, and 'high' is none.", "Write a number"),
        ("metrics.acc = true", "true", "holds numbers, and true is none.", "Write a number"),
        ("metrics.acc > 5m", "5m", "holds numbers, and 5m is none.", "Write a number"),
        ("metrics.acc > 1 or metrics.acc < nan", "nan", "below or above nan.", "= nan or != nan"),
        ("metrics.acc like '1%'", "'1%'", "and a pattern is for texts.", "Compare it with ="),
        ("start_time matches '20'", "'20'", "holds times, and a pattern", "Compare it with ="),
        ("start_time > 7d", "7d", "holds times, and 7d is none.", "-7d for seven days ago"),
        ("start_time > 'monday'", "'monday'", "holds times, and 'monday'", "milliseconds since"),
        ("start_time > true", "true", "holds times, and true", "milliseconds since"),
        ("start_time > 1e300", "1e300", "outside the years 1 to 9999", "milliseconds since"),
        ("start_time > -9999999d", "-9999999d", "outside the years 1 to 9999", "milliseconds"),
        ("start_time = nan", "nan", "holds times, and nan is none.", "milliseconds since"),
        ("duration_s > '5m'", "'5m'", "holds durations, and '5m' is none.", "Write 90s, 5m"),
        ("duration_s > now", "now", "holds durations, and now is none.", "Write 90s, 5m"),
        ("name = 5", "5", "holds texts, and 5 is none.", 'Write it in quotes: "5".'),
        ("deleted = 'true'", "'true'", "and 'true' is none.", "true or false, without quotes"),
        ("deleted < true", "true", "true and false have no order.", "Write = or !=."),
        ("params.lr between 1 and 'a'", "'a'", "'a' has no order here.", "numbers, or only texts"),
        ("params.lr > true", "true", "true has no order here.", "numbers, or only texts"),
        ("params.lr in (1, -7d)", "-7d", "-7d is a time, and params", 'in quotes: "-7d"'),
        ("params.lr < 'nan'", "'nan'", "nothing lies below or above nan.", "= nan or != nan"),
        ("name matches 'a(b'", "(", "is no regex: unclosed group.", "Rust's syntax"),
        ("name matches '日(?=x)'", "(?=", "look-around, including", "Rust's syntax"),
        ("name matches 'it''s ('", "'it''s ('", "is no regex: unclosed group.", "Rust's syntax"),
        ("name matches 'a\n('", "'a\n('", "is no regex: unclosed group.", "Rust's syntax"),
        ("name matches 'a{999}{999}'", "'a{999}{999}'", "pattern is too large.", "a shorter one"),
    ],
)
def test_what_cannot_be_asked_is_shown(text: str, place: str, what: str, remedy: str) -> None:
    check(refused(text), place, what, remedy)


def check(error: FilterError, place: str, what: str, remedy: str) -> None:
    assert error.text[error.start : error.end] == place
    assert what in error.what
    assert remedy in error.remedy


def test_an_error_shows_the_filter_and_the_place_in_it() -> None:
    assert str(refused('metrics.rmse < 1 and params.mdel = "tree"')) == dedent("""\
        no run has the metric rmse.
          metrics.rmse < 1 and params.mdel = "tree"
          ^^^^^^^^^^^^
        There are: metrics.acc, metrics.loss, metrics.`a b.c`.""")


def test_carets_stand_under_wide_and_combined_characters() -> None:
    *_, shown, carets, _ = str(refused("name = '日本e\u0301' and metrics.日本 > 1")).split("\n")
    assert shown == "  name = '日本e\u0301' and metrics.日本 > 1"
    assert carets == "  " + " " * 19 + "^" * len("metrics.----")


def test_of_a_long_filter_the_part_around_the_place_is_shown() -> None:
    text = " and ".join(["metrics.acc > 0.5"] * 20 + ["bad > 1"] + ["metrics.acc > 0.5"] * 20)
    *_, shown, carets, _ = str(refused(text)).split("\n")
    assert shown.startswith("  …")
    assert shown.endswith("…")
    assert len(shown) <= WIDTH + 2
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "bad"


def test_a_long_place_is_shown_by_its_beginning() -> None:
    error = refused(f"name = 'a' and metrics.{'x' * 500} > 1")
    assert len(error.what) < 100
    _, shown, carets, _ = str(error).split("\n")
    assert shown[carets.index("^") :].startswith("metrics.xxxx")
    assert len(shown) <= WIDTH + 2


def test_nothing_in_an_error_obeys_a_terminal() -> None:
    message = str(refused("metrics.`\x1b[2J\u202e\n\r` > 1"))
    assert all(line.isprintable() for line in message.split("\n"))
    assert len(message.split("\n")) == 4


def test_an_error_is_a_usage_error_of_two_lines_and_a_picture() -> None:
    error = refused("acc > 1")
    assert isinstance(error, UsageError)
    assert error.lines() == ("no run has the attribute acc.", "Did you mean metrics.acc?")
    assert error.picture == "  acc > 1\n  ^^^"
    assert str(error) == f"{error.what}\n{error.picture}\n{error.remedy}"


def test_an_error_survives_pickling() -> None:
    error = refused("acc > 1")
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), vars(copied)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "", "a name is missing at the end."),
        ("metrics.acc,", "", "a name is missing at the end."),
        ("desc", "desc", "a name is missing before desc."),
        ("metrics.acc descending", "descending", "a comma is missing before descending."),
        ("name, metrics.ac desc", "metrics.ac", "no run has the metric ac."),
    ],
)
def test_what_is_no_order_is_shown(text: str, place: str, what: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_order(parse_order(text), KnownColumns())
    check(caught.value, place, what, "")


def test_of_several_texts_the_wrong_one_is_shown() -> None:
    with pytest.raises(FilterError) as caught:
        parse_columns(["name", "metrics.acc desc"])
    assert caught.value.text == "metrics.acc desc"
    check(caught.value, "desc", "a comma is missing before desc.", "by commas")


def test_where_nothing_was_logged_the_error_says_so() -> None:
    class NoColumns(KnownColumns):
        def names(self, kind: object) -> list[str]:
            return []

    with pytest.raises(FilterError, match=r"No run has any tags\."):
        compile_filter(parse("tags.x = 1"), NoColumns())
