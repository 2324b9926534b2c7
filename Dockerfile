# The images. A base that has Node 24 at /nodejs/bin/node, the bundle, and koffi, which is a binary and stays outside of it. Nothing
# is compiled or downloaded here: run `npm ci && npm run build` before.
#   docker build --target controller -t fairway/controller:0.1.0 --build-arg BASE=<distroless nodejs24-debian13:nonroot> .
#   docker build --target speaker    -t fairway/speaker:0.1.0    --build-arg BASE=<the same> .
# Without a target: every verb, as `fairway` itself. The base is an argument so that a registry is nobody's hidden choice;
# test/interop/docker.sh makes one locally.
ARG BASE=nodejs24-distroless
FROM ${BASE} AS program
WORKDIR /app
COPY package.json ./
COPY node_modules/koffi/ node_modules/koffi/
COPY node_modules/@koromix/ node_modules/@koromix/
COPY dist/ dist/
# distroless calls this user nonroot
USER 65532:65532

# One arena of the C library for all threads: each more costs some megabytes, and little here waits for it.
ENV MALLOC_ARENA_MAX=1
# No --enable-source-maps: they would take 12 MB of memory. The maps are beside the pieces, for whoever reads a crash.
# both take the arguments that MetalLB's manifests give to its images
FROM program AS controller
# the garbage of large lists is collected while it is young (`npm run bench controller`)
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=2", "--optimize-for-size", "/app/dist/fairway.js", "controller"]

FROM program AS speaker
# raw sockets: a capability that is added has no effect for another user than root
USER 0:0
# a fifth less memory for a speaker with 1,000 VIPs (`npm run bench start`), and little growth when a neighbour floods it
# (`npm run bench flood`); a small young generation alone would let that one triple
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=2", "--optimize-for-size", "/app/dist/fairway.js", "speaker"]

FROM program
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=2", "--optimize-for-size", "/app/dist/fairway.js"]
CMD ["--help"]
