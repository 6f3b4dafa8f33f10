// node server.cjs FOLDER MODULES: the workflow API and a runner of `wf` in one process, on Node 6. MODULES is the folder
// that the package is installed in.
'use strict';

const fs = require('fs');
const path = require('path');

const folder = process.argv[2];
const modules = process.argv[3];
const wf = require(path.join(modules, 'wf'));

const file = (name) => path.join(folder, name);
const log = { streams: [{ level: 'info', stream: process.stdout }] };
// As the workflow service of a datacenter is set up.
const indexed = ['vm_uuid', 'server_uuid', 'image_uuid', 'creator_uuid', 'origin', 'task'];

// What a task finds around it. Each is started in a process of its own, which is sent these values: they are read anew
// every time, so that the services may be started later than this one.
const sandbox = { modules: {} };
for (const name of ['imgapiUrl', 'vmapiUrl', 'cnapiUrl']) {
    Object.defineProperty(sandbox, name, {
        enumerable: true,
        get: () => JSON.parse(fs.readFileSync(file('services.json'), 'utf8'))[name],
    });
}

const backend = { module: path.join(__dirname, 'backend.cjs'), opts: { modules } };
const api = wf.API({ backend, logger: log, api: { path: 'not used', job_extra_params: indexed } });
const runner = wf.Runner({
    backend,
    logger: log,
    runner: { identifier: 'runner', forks: 10, run_interval: 50, sandbox },
});

runner.init((err) => {
    if (err) {
        throw err;
    }
    runner.run();
    const known = fs.existsSync(file('url'))
        ? /\d+$/.exec(fs.readFileSync(file('url'), 'utf8').trim())[0]
        : 0;
    api.server.listen(Number(known), '127.0.0.1', () => {
        fs.writeFileSync(file('url.new'), `http://127.0.0.1:${api.server.address().port}\n`);
        fs.renameSync(file('url.new'), file('url'));
        console.log('listening');
    });
});

process.on('SIGTERM', () => runner.kill(() => process.exit(0)));
