"""Personal data at rest: sealed under keys of one person, so that destroying a key forgets the person.

`sealing` is the cipher, `keys` the hierarchy and its ports, `keyfile` the default root of it, `vault` what the rest of
the service uses for events and stored responses, `blobs` the same for files of any size.
"""
