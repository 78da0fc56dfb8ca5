"""The blob store that the settings name: a folder, or a bucket."""

from __future__ import annotations

from service.settings import Settings
from service.store.blobs import BlobStore


class NoBucketSupport(Exception):
    """The settings name a bucket, and what speaks its protocol is not installed."""


def open_blobs(settings: Settings) -> BlobStore:
    """The store of a process; nothing is asked of it yet. NoBucketSupport without the extra `s3`."""
    if not settings.blobs:
        return BlobStore(settings.blob_folder)
    try:
        from service.store.s3_blobs import S3BlobStore  # the extra `s3`
    except ImportError:
        raise NoBucketSupport(
            "FEWBITS_BLOBS names a bucket, for which boto3 is missing: pip install 'fewbits[s3]'"
        ) from None
    return S3BlobStore(
        settings.blobs,
        settings.blob_folder,
        settings.blobs_cache_mb << 20,
        endpoint=settings.blobs_endpoint,
        links=settings.blobs_links,
    )
