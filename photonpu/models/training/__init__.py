"""The recipe of the network that ships: data, augmentation, training and export.

``python -m photonpu.models.training --data cheng_t1ce_tumour_256.npz --out unet.onnx`` repeats it.
Nothing here is needed to compile, simulate or sweep; torch and nilearn come with the extra
``train`` and are imported when a function needs them.
"""
