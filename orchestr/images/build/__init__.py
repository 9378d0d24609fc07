"""Images from Dockerfiles: text to instructions, instructions to stages, stages to layers and one image.

dockerfile.py and words.py read the text, stages.py finds which stages are needed and what each waits for, config.py
holds what an instruction says about the image, builder.py carries out what is left and caches it by content (cache.py).
Whatever touches files is done by a program of its own (worker.py); RUN goes through the seam to who has a runtime.
"""
