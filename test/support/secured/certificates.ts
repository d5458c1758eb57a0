import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { md, pki } from 'node-forge';

/** A certificate and its key in PEM, and their files. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Certificates {
  /** Has signed the other two. */
  readonly ca: { readonly cert: string; readonly certFile: string };
  /** For 127.0.0.1 and localhost. */
  readonly server: Identity;
  readonly client: Identity;
}

/** A CA for one test and the certificates it signed, written to `folder`. Valid for a day. */
export function makeCertificates(folder: string): Certificates {
  mkdirSync(folder, { recursive: true });
  const authority = newKey();
  const ca = sign({ name: 'test authority', of: authority, by: authority, isAuthority: true });
  const identity = (name: string): Identity => {
    const own = newKey();
    const cert = pki.certificateToPem(sign({ name, of: own, by: authority, isAuthority: false }));
    return {
      cert,
      key: own.pem,
      certFile: write(`${name}.crt`, cert),
      keyFile: write(`${name}.key`, own.pem),
    };
  };
  const write = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const cert = pki.certificateToPem(ca);
  return {
    ca: { cert, certFile: write('ca.crt', cert) },
    server: identity('server'),
    client: identity('client'),
  };
}

/** PKCS #8: the key format that Node, Java and Rust all read. */
function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const own = pki.privateKeyFromPem(privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
  return { pem, own, shared: pki.setRsaPublicKey(own.n, own.e) };
}

let serial = 1;

function sign(options: {
  name: string;
  of: ReturnType<typeof newKey>;
  by: ReturnType<typeof newKey>;
  isAuthority: boolean;
}): pki.Certificate {
  const { name, of, by, isAuthority } = options;
  const certificate = pki.createCertificate();
  certificate.publicKey = of.shared;
  certificate.serialNumber = `0${String(serial++)}`;
  certificate.validity.notBefore = new Date(Date.now() - 3_600_000);
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  certificate.setSubject([{ name: 'commonName', value: name }]);
  certificate.setIssuer([{ name: 'commonName', value: 'test authority' }]);
  certificate.setExtensions(
    isAuthority
      ? [{ name: 'basicConstraints', cA: true, critical: true }]
      : [
          { name: 'basicConstraints', cA: false },
          {
            name: 'subjectAltName',
            altNames: [
              { type: DNS, value: 'localhost' },
              { type: IP, ip: '127.0.0.1' },
            ],
          },
        ],
  );
  certificate.sign(by.own, md.sha256.create());
  return certificate;
}

/** Types of alternative names in X.509. */
const DNS = 2;
const IP = 7;
