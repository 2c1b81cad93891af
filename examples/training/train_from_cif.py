"""
Train a model from a .cif file
==============================

*I have a .cif file of my phase and know my voltage. How do I get a model that reads my patterns?*

This takes seconds and gives a poor model: it sees a few hundred patterns of a few zone axes. Leave
out ``n_zone_axes`` and ``config`` for a good one, and leave it alone for an hour.
"""

# %%
# The phase, as the databases give it.
import tempfile
from pathlib import Path

import pyxem_cnn

CIF = """data_iron
_cell_length_a 2.8665
_cell_length_b 2.8665
_cell_length_c 2.8665
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'I m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Fe Fe 0 0 0
"""
folder = Path(tempfile.mkdtemp())
(folder / "iron.cif").write_text(CIF)

# %%
# Look at what was read before training on it: atoms, space group, shortest distance.
crystal = pyxem_cnn.read_cif(folder / "iron.cif")
print(crystal.summary())

# %%
# Dynamical patterns are simulated for zone axes all over the fundamental sector. The microscope
# belongs to the library: voltage in kV, convergence in mrad, range of thickness.
library = pyxem_cnn.simulate_library(
    crystal,
    200,
    folder / "iron_200kV.h5",
    convergence_angle=1.0,
    n_zone_axes=200,
    show_progressbar=False,
)
print(library)

# %%
# Training patterns vary in dose, spot size, calibration and background as well, so that one model
# serves many experiments.
model = pyxem_cnn.train(
    library=library,
    convergence_angle=1.0,
    config=pyxem_cnn.TrainingConfig(
        n_patterns=256, batch_size=64, width=32, n_blocks=1, zone_spacing=10, validation_patterns=16
    ),
    name="iron_200kV",
    show_progressbar=False,
)

# %%
# The model says what it is, and how far off it was on patterns that it had not seen.
print(model)
for dose, errors in model.metadata["metrics"].items():
    print(f"{dose}: median {errors['median']:.1f} degrees")

# %%
# The file holds everything that is needed to use it anywhere.
path = model.save(folder / "iron_200kV.pt")
print(pyxem_cnn.load_model(path, sha256=model.sha256) == model)
