"""Lets `import kserve` find the package's client without the server and the Kubernetes SDK that its __init__ imports.

On PYTHONPATH, so that programs stay as a user writes them. The modules of the client are kserve's own, unchanged.
"""

import importlib
import importlib.machinery
import sys
import types

CLIENT = {
    "InferenceGRPCClient": "kserve.inference_client",
    "InferRequest": "kserve.protocol.infer_type",
    "InferInput": "kserve.protocol.infer_type",
    "InferResponse": "kserve.protocol.infer_type",
}


class Package(types.ModuleType):
    def __getattr__(self, name):
        if name not in CLIENT:
            raise AttributeError(name)
        return getattr(importlib.import_module(CLIENT[name]), name)


found = importlib.machinery.PathFinder.find_spec("kserve")
if found is not None:
    package = Package("kserve")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["kserve"] = package
