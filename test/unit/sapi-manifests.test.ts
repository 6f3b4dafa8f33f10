/** The configuration that SAPI renders in a datacenter, accepted by the server (config.md §9, ops.md §1.1). */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadConfig, type Config } from '../../lib/config';
import { PLAIN_METADATA, readManifest, renderManifest } from '../support/sapi-manifests';
import { makeFolder } from '../support/server';

const MANTA = {
    IMGAPI_MANTA_URL: 'https://us-east.manta.example.com',
    IMGAPI_MANTA_USER: 'admin',
    IMGAPI_MANTA_INSECURE: true,
    IMGAPI_MANTA_REMOTE: false,
    IMGAPI_KEY_ID: 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU',
    IMGAPI_PRIVATE_KEY: '-----BEGIN EC PRIVATE KEY-----\nabc+/=\n-----END EC PRIVATE KEY-----\n',
    IMGAPI_PUBLIC_KEY: 'ecdsa-sha2-nistp256 AAAAE2+/= us-test-1 imgapi key\n',
};

describe('sapi_manifests', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    before(async () => {
        place = await makeFolder();
    });
    after(() => place.remove());

    function rendered(metadata: Record<string, unknown> = {}, warnings: string[] = []): Config {
        const file = join(place.path, 'imgapi.config.json');
        writeFileSync(file, renderManifest('imgapi', { ...PLAIN_METADATA, ...metadata }));
        return loadConfig({ file, onWarning: (warning) => warnings.push(warning) });
    }

    it('render what every instance has', () => {
        const warnings: string[] = [];
        const config = rendered({}, warnings);
        assert.deepEqual(warnings, []);
        const { instanceUuid, serverUuid, adminIp, adminUuid, serviceName } = config;
        assert.deepEqual(
            { instanceUuid, serverUuid, adminIp, adminUuid, serviceName },
            {
                instanceUuid: '5b7f9c4e-4b8c-4f52-9a0c-3c2a0b1d2e3f',
                serverUuid: '44454c4c-4400-1046-8050-b5c04f383432',
                adminIp: '10.99.99.21',
                adminUuid: '930896af-bf8c-48d4-885c-6573a94b1853',
                serviceName: 'imgapi',
            },
        );
        assert.equal(config.port, 80);
        assert.equal(config.address, '0.0.0.0');
        assert.equal(config.mode, 'dc');
        assert.equal(config.authType, 'none');
        assert.equal(config.datacenterName, 'us-test-1');
        assert.deepEqual(config.storageTypes, ['local']);
        assert.equal(config.manta, undefined);
        assert.equal(config.databaseType, 'moray');
        assert.equal(config.moray?.pg?.connectionString, PLAIN_METADATA.IMGAPI_PG_URL);
        assert.equal(config.ufds?.url, 'ldaps://ufds.us-test-1.example.com');
        assert.equal(config.ufds.bindPassword, 'secret');
        assert.equal(config.wfapi?.url, 'http://workflow.us-test-1.example.com');
        assert.deepEqual(config.wfapi.workflows, ['create-from-vm', 'import-remote-image']);
        assert.equal(config.vmapi?.url, 'http://vmapi.us-test-1.example.com');
        assert.equal(config.cnapi?.url, 'http://cnapi.us-test-1.example.com');
        assert.deepEqual(config.docker, { url: 'http://docker.us-test-1.example.com' });
        assert.equal(config.sapi_service, 'sapi.us-test-1.example.com');
        assert.equal(config.ufds_admin_login, 'admin');
        assert.equal(config.httpProxy, '');
        assert.equal(config.dockerRegistryInsecure, false);
        assert.equal(config.allowLocalCreateImageFromVm, false);
        assert.equal(config.allowInsecure, undefined);
    });

    it('render Manta once it is set up', () => {
        const { storageTypes, manta } = rendered(MANTA);
        assert.deepEqual(storageTypes, ['manta', 'local']);
        const { url, user, key, keyId, baseDir, rootDir, insecure, remote } = manta ?? {};
        assert.deepEqual(
            { url, user, key, keyId, baseDir, rootDir, insecure, remote },
            {
                url: MANTA.IMGAPI_MANTA_URL,
                user: 'admin',
                key: '/root/.ssh/imgapi.key',
                keyId: MANTA.IMGAPI_KEY_ID,
                baseDir: 'imgapi',
                rootDir: '/admin/stor/imgapi/us-test-1',
                insecure: true,
                remote: false,
            },
        );
        const other = rendered({
            ...MANTA,
            STORAGE_MANTA_BASEDIR: 'images',
            IMGAPI_MANTA_INSECURE: 'false',
            IMGAPI_MANTA_REMOTE: 'true',
        });
        assert.equal(other.manta?.rootDir, '/admin/stor/images/us-test-1');
        assert.deepEqual([other.manta.insecure, other.manta.remote], [false, true]);
        const byHand = { ...MANTA, IMGAPI_MANTA_INSECURE: undefined, IMGAPI_MANTA_REMOTE: undefined };
        assert.deepEqual([rendered(byHand).manta?.insecure, rendered(byHand).manta?.remote], [false, false]);
    });

    it('render S3', () => {
        const { storageTypes, s3 } = rendered({
            ...MANTA,
            IMGAPI_S3_BUCKET: 'images',
            IMGAPI_S3_REGION: 'eu-west-1',
            IMGAPI_S3_ENDPOINT: 'https://s3.example.com',
            IMGAPI_S3_ACCESS_KEY_ID: 'AKIA',
            IMGAPI_S3_SECRET_ACCESS_KEY: "s+e/c&r<e>t'",
            IMGAPI_S3_PREFIX: 'us-test-1',
            IMGAPI_S3_FORCE_PATH_STYLE: true,
            IMGAPI_S3_REMOTE: true,
        });
        assert.deepEqual(storageTypes, ['manta', 's3', 'local']);
        const { bucket, region, endpoint, accessKeyId, secretAccessKey, prefix, forcePathStyle, remote } =
            s3!;
        assert.deepEqual(
            { bucket, region, endpoint, accessKeyId, secretAccessKey, prefix, forcePathStyle, remote },
            {
                bucket: 'images',
                region: 'eu-west-1',
                endpoint: 'https://s3.example.com',
                accessKeyId: 'AKIA',
                secretAccessKey: "s+e/c&r<e>t'",
                prefix: 'us-test-1',
                forcePathStyle: true,
                remote: true,
            },
        );
        assert.equal(rendered({ IMGAPI_S3_BUCKET: 'images' }).s3?.region, 'us-east-1');
    });

    it('render each of the other settings', () => {
        const config = rendered({
            IMGAPI_ALLOW_LOCAL_CREATE_IMAGE_FROM_VM: true,
            IMGAPI_ALLOW_INSECURE: true,
            IMGAPI_URL_FROM_DATACENTER: '{"us-test-2": "http://10.1.0.7"}',
            IMGAPI_UFDS_CA: '/etc/ufds.pem',
            IMGAPI_WORKERS: 4,
            experimental_fluentd_host: 'fluentd.example.com',
            http_proxy: "http://user:a&b'c@proxy.example.com:3128",
            docker_registry_insecure: true,
        });
        assert.equal(config.allowLocalCreateImageFromVm, true);
        assert.equal(config.allowInsecure, true);
        assert.deepEqual(config.imgapiUrlFromDatacenter, { 'us-test-2': 'http://10.1.0.7' });
        assert.equal(config.ufds?.ca, '/etc/ufds.pem');
        assert.equal(config.cluster.workers, 4);
        assert.equal(config.fluentd_host, 'fluentd.example.com');
        assert.equal(config.httpProxy, "http://user:a&b'c@proxy.example.com:3128");
        assert.equal(config.dockerRegistryInsecure, true);
    });

    it('take passwords with any character but quotes and backslashes', () => {
        const password = "&<>'`=/ é%@#";
        assert.equal(rendered({ ufds_ldap_root_pw: password }).ufds?.bindPassword, password);
    });

    it('let no quote in a name become a setting', () => {
        const name = 'dc", "authType": "signature';
        assert.equal(rendered({ datacenter_name: name }).authType, 'none');
        assert.throws(() => rendered({ ufds_ldap_root_pw: 'two"words' }), /could not parse/);
    });

    it('leave it to the server to say that it has to be told where PostgreSQL is', () => {
        assert.throws(() => rendered({ IMGAPI_PG_URL: undefined }), /config\.moray\.pg is missing/);
    });

    it('put keys where the configuration looks for them, as they are', () => {
        assert.equal(renderManifest('imgapi_private_key', MANTA), MANTA.IMGAPI_PRIVATE_KEY);
        assert.equal(renderManifest('imgapi_public_key', MANTA), MANTA.IMGAPI_PUBLIC_KEY);
        const { path, post_cmd } = readManifest('imgapi_private_key');
        assert.equal(path, rendered(MANTA).manta?.key);
        assert.match(post_cmd ?? '', /chmod 600 \/root\/\.ssh\/imgapi\.key/);
        assert.equal(readManifest('imgapi_public_key').path, `${path}.pub`);
    });

    it('tell shells where Manta is', () => {
        const lines = renderManifest('mantaprofile', MANTA).trim().split('\n');
        assert.deepEqual(lines, [
            `export MANTA_URL='${MANTA.IMGAPI_MANTA_URL}'`,
            "export MANTA_USER='admin'",
            `export MANTA_KEY_ID='${MANTA.IMGAPI_KEY_ID}'`,
            'export MANTA_TLS_INSECURE=1',
        ]);
        assert.equal(renderManifest('mantaprofile', PLAIN_METADATA).trim(), '');
    });

    it('are named after their folders, and say where their file goes', () => {
        const names = readdirSync(resolve(__dirname, '../../sapi_manifests'));
        assert.deepEqual(names.sort(), ['imgapi', 'imgapi_private_key', 'imgapi_public_key', 'mantaprofile']);
        for (const name of names) {
            assert.equal(readManifest(name).name, name);
            assert.match(readManifest(name).path, /^\//);
        }
        assert.deepEqual(readManifest('imgapi'), {
            name: 'imgapi',
            path: '/data/imgapi/etc/imgapi.config.json',
            post_cmd: 'svcadm refresh imgapi',
        });
    });
});
