# The image: a base that has Node 24 at /nodejs/bin/node, the bundle, and koffi, which is a binary and stays outside of
# it. Nothing is compiled or downloaded here: run `npm ci && npm run build` before.
#   docker build --build-arg BASE=<distroless nodejs24-debian13:nonroot from its registry> -t fairway .
# The base is an argument so that a registry is nobody's hidden choice; test/interop/docker.sh makes one locally.
ARG BASE=nodejs24-distroless
FROM ${BASE}
WORKDIR /app
COPY package.json ./
COPY node_modules/koffi/ node_modules/koffi/
COPY node_modules/@koromix/ node_modules/@koromix/
COPY dist/ dist/
# distroless calls this user nonroot
USER 65532:65532
# a young generation of 1 MiB: a fifth less memory for a speaker with 1,000 VIPs (`npm run bench start`)
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=1", "--enable-source-maps", "/app/dist/fairway.js"]
CMD ["--help"]
