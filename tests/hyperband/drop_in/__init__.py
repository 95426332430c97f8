"""Every way of calling `keras_tuner.Hyperband`, with the stock class and with ours."""

import pytest

pytest.register_assert_rewrite("tests.hyperband.drop_in.both_classes")
