"""The lab's Kubernetes control plane: credentials and command lines of the real programs.

Tuned to start in seconds and to idle cheaply: no leader election, only the controllers that the program's objects
need, one user with every right beside the service accounts, nothing written to disk.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulate.lab.layout import API_SERVER, API_SERVER_PORT, CLUSTER_IPS, ETCD_URL, LabPaths

#: By this name the API server calls the metrics API.
METRICS_SERVICE, METRICS_NAMESPACE = "metrics-server", "kube-system"
METRICS_HOST = f"{METRICS_SERVICE}.{METRICS_NAMESPACE}.svc"
SERVER_URL = f"https://{API_SERVER}:{API_SERVER_PORT}"

#: What makes Deployments, Jobs, Services, namespaces and disruption budgets work, and nodes' heartbeats count.
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "pod-garbage-collector-controller",
    "node-lifecycle-controller",
    "disruption-controller",
    "job-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
)


def prepare(paths: LabPaths) -> None:
    """Make certificates, the token and the kubeconfig."""
    directory = paths.credentials
    directory.mkdir(mode=0o700)
    token = secrets.token_hex(16)
    (directory / "tokens.csv").write_text(f'{token},lab,lab,"system:masters"\n')
    (directory / "service-account.key").write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    _certificates(directory)
    _write_kubeconfig(paths, token)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _certificates(directory: Path) -> None:
    """An authority of this lab's own, and one server certificate for all three programs."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simple378 lab")])
    now = datetime.now(UTC)

    def certificate(name: x509.Name, of: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            # Python's verification refuses a chain without the key identifiers.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(of.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        certificate(ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    service_address = CLUSTER_IPS.network_address + 1
    names: list[x509.GeneralName] = [
        x509.IPAddress(IPv4Address(API_SERVER)),
        x509.IPAddress(service_address),
        x509.IPAddress(IPv4Address("127.0.0.1")),
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
        x509.DNSName(METRICS_HOST),
    ]
    server = (
        certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, API_SERVER)]), key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    (directory / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (directory / "server.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (directory / "server.key").write_bytes(_pem(key))


def _write_kubeconfig(paths: LabPaths, token: str) -> None:
    """A kubeconfig in JSON, which every YAML reader takes."""
    cluster = {"server": SERVER_URL, "certificate-authority": str(paths.credentials / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    paths.kubeconfig.touch(mode=0o600)
    paths.kubeconfig.write_text(json.dumps(document, indent=1) + "\n")


def etcd_command(data: Path) -> list[str]:
    return [
        "etcd",
        "--name=lab",
        f"--data-dir={data}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=lab=http://127.0.0.1:2380",
        # One member elects itself, so a long heartbeat costs nothing and saves wake-ups.
        "--heartbeat-interval=500",
        "--election-timeout=2500",
        "--logger=zap",
        "--log-level=warn",
    ]


def _serving(paths: LabPaths) -> list[str]:
    credentials = paths.credentials
    return [
        f"--tls-cert-file={credentials / 'server.crt'}",
        f"--tls-private-key-file={credentials / 'server.key'}",
        "--profiling=false",
    ]


def api_server_command(paths: LabPaths) -> list[str]:
    key = paths.credentials / "service-account.key"
    return [
        "kube-apiserver",
        f"--etcd-servers={ETCD_URL}",
        f"--bind-address={API_SERVER}",
        f"--advertise-address={API_SERVER}",
        f"--secure-port={API_SERVER_PORT}",
        f"--service-cluster-ip-range={CLUSTER_IPS}",
        f"--token-auth-file={paths.credentials / 'tokens.csv'}",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        # The metrics API is served by the node agent.
        "--enable-aggregator-routing=true",
        # ServiceAccount would mount a token that no program here uses and would let no pod be made before its
        # namespace's account exists; TaintNodesByCondition would keep the new node out for seconds.
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        "--enable-priority-and-fairness=false",
        "--event-ttl=1h",
        "--etcd-compaction-interval=0",
        *_serving(paths),
    ]


def controller_manager_command(paths: LabPaths) -> list[str]:
    return [
        "kube-controller-manager",
        f"--kubeconfig={paths.kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--root-ca-file={paths.credentials / 'ca.crt'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        # The default 20 requests a second would pace a deployment of two dozen objects.
        "--kube-api-qps=200",
        "--kube-api-burst=200",
        *_serving(paths),
    ]


def scheduler_command(paths: LabPaths) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={paths.kubeconfig}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--kube-api-qps=200",
        "--kube-api-burst=200",
        *_serving(paths),
    ]
