# The image of a release, for linux/amd64, arm64, arm/v7 and arm/v6: one static binary, which
# brings its own root certificates. Its context is the folder that scripts/release made:
#
#   scripts/release && docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7,linux/arm/v6 dist
FROM scratch
ARG TARGETARCH
ARG TARGETVARIANT
COPY --chmod=755 picloud_linux_${TARGETARCH}${TARGETVARIANT} /picloud
# The data directory belongs to the user of the process; a named volume inherits that.
COPY --chown=65532:65532 data /data
ENV PICLOUD_DATA_DIR=/data PICLOUD_MDNS=false
VOLUME /data
WORKDIR /data
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/picloud"]
CMD ["serve"]
