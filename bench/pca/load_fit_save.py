"""What a user of scikit-learn would run instead of `narrows fit`: load, scale, fit, save.

    python load_fit_save.py IMAGES.gz|ROWS.npy COMPONENTS OUT.npz
"""

import gzip
import sys

import numpy as np
from sklearn.decomposition import PCA

data, components, out = sys.argv[1:]
if data.endswith(".gz"):
    with gzip.open(data) as file:
        content = file.read()
    count, height, width = np.frombuffer(content, ">i4", count=3, offset=4)
    x = np.frombuffer(content, np.uint8, offset=16).reshape(count, height * width)
    x = x.astype(np.float32) / 255
else:
    x = np.load(data)
pca = PCA(int(components)).fit(x)
np.savez(out, mean=pca.mean_, components=pca.components_,
         explained_variance=pca.explained_variance_)
