import assert from 'node:assert/strict';
import { PgAddressError, pgAddress } from '../../lib/config/pg-address';

describe('the address of PostgreSQL', () => {
    it('has the names that Moray uses where nothing is said', () => {
        assert.deepEqual(pgAddress({ hosts: ['10.0.0.5'] }), {
            hosts: [{ name: '10.0.0.5:5432', host: '10.0.0.5', port: 5432 }],
            user: 'moray',
            password: '',
            database: 'moray',
            ssl: false,
        });
        assert.deepEqual(pgAddress({ connectionString: 'postgres://db' }).hosts[0]?.name, 'db:5432');
    });

    it('names several servers in either form', () => {
        const names = ['a:5432', 'b.example.com:6000', '[::1]:7000'];
        const hosts = ['a', 'b.example.com:6000', '[::1]:7000'];
        const connectionString = `postgresql://u@${hosts.join(',')}/d`;
        assert.deepEqual(
            pgAddress({ hosts }).hosts.map(({ name }) => name),
            names,
        );
        assert.deepEqual(
            pgAddress({ connectionString }).hosts.map(({ name }) => name),
            names,
        );
        assert.equal(pgAddress({ hosts }).hosts[2]?.host, '::1');
    });

    it('takes names and passwords with any characters, if they are escaped', () => {
        const { user, password, database } = pgAddress({
            connectionString: 'postgres://a%40b:p%2F%3F%23%40%25%3A:x@h/d%20e',
        });
        assert.deepEqual([user, password, database], ['a@b', 'p/?#@%::x', 'd e']);
    });

    it('has TLS as the key ssl says, or else the URL', () => {
        const of = (query: string, ssl?: boolean) =>
            pgAddress({ connectionString: `postgres://h/d?${query}`, ...(ssl !== undefined && { ssl }) }).ssl;
        assert.equal(of('sslmode=disable'), false);
        assert.deepEqual(of('sslmode=require'), { rejectUnauthorized: false });
        assert.deepEqual(of('sslmode=require&sslrootcert=/ca'), { ca: '/ca' });
        assert.equal(of('sslmode=verify-full&target_session_attrs=read-write'), true);
        assert.deepEqual(of('sslrootcert=/ca&sslmode=verify-full'), { ca: '/ca' });
        assert.equal(of('sslmode=verify-full', false), false);
        assert.equal(of('', true), true);
    });

    it('refuses what it would not do, and never repeats a password', () => {
        const refused = [
            'postgres://u:geheim/x@h/d',
            'postgres://u:geheim@x@h/d',
            'postgres://u:geheim%@h/d',
            'postgres://u:geheim?x@h/d',
            'postgres://u:geheim@/d',
            'postgres://u:geheim@h:0/d',
            'postgres://u:geheim@h:99999/d',
            'postgres://u:geheim@h,/d',
            'postgres://u:geheim@h/d?sslmode=prefer',
            'postgres://u:geheim@h/d?sslmode=verify-ca',
            'postgres://u:geheim@h/d?target_session_attrs=standby',
            'postgres://u:geheim@h/d?options=-cfoo',
            'mysql://u:geheim@h/d',
        ];
        for (const connectionString of refused) {
            assert.throws(
                () => pgAddress({ connectionString }),
                (error) => error instanceof PgAddressError && !error.stack?.includes('geheim'),
                connectionString,
            );
        }
    });
});
