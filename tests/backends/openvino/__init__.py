"""Tests of the OpenVINO backend."""
