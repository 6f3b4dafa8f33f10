import assert from 'node:assert/strict';
import { censorConfig, mayBeSecretName } from '../../lib/config';

describe('censorConfig (config.md §7)', () => {
    it('hides secrets by name wherever they stand, and leaves the original alone', () => {
        const config = {
            ufds: { url: 'ldaps://u', bindPassword: 'a' },
            list: [{ password: 'b' }, { pass: { deep: 'c' } }],
            s3: { secretAccessKey: 'd', bucket: 'kept' },
            tls: { privateKey: 'e' },
            authToken: 7,
            passport: 'kept',
        };
        const before = structuredClone(config);
        assert.deepEqual(censorConfig(config), {
            ufds: { url: 'ldaps://u', bindPassword: '***' },
            list: [{ password: '***' }, { pass: '***' }],
            s3: { secretAccessKey: '***', bucket: 'kept' },
            tls: { privateKey: '***' },
            authToken: '***',
            passport: 'kept',
        });
        assert.deepEqual(config, before);
    });

    it('hides what stands under a misspelled name where the log shows the configuration', () => {
        const config = { moray: { pg: { passwort: 'a', dbSecret: 'b', user: 'kept' } } };
        assert.deepEqual(censorConfig(config, mayBeSecretName), {
            moray: { pg: { passwort: '***', dbSecret: '***', user: 'kept' } },
        });
    });

    it('hides private keys under any name', () => {
        for (const kind of ['PRIVATE KEY', 'RSA PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'EC PRIVATE KEY']) {
            const pem = `-----BEGIN ${kind}-----\nMIIE\n-----END ${kind}-----\n`;
            assert.deepEqual(censorConfig({ anything: [pem] }), { anything: ['***'] });
        }
        const publicKey = '-----BEGIN PUBLIC KEY-----\nMIIE\n';
        assert.equal(censorConfig(publicKey), publicKey);
    });

    it('hides the password of a URL', () => {
        assert.deepEqual(censorConfig({ httpProxy: 'http://joe:hunter2@proxy:3128/' }), {
            httpProxy: 'http://joe:***@proxy:3128/',
        });
        assert.equal(censorConfig('http://host:80/a@b'), 'http://host:80/a@b');
    });
});
