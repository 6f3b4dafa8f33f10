// What the workflow API and the runner remember: the backend in memory that comes with `wf`, one for both, with what the
// one of a datacenter does otherwise.
'use strict';

const path = require('path');

const MOST_JOBS = 1000;
let backend;

module.exports = ({ modules, log }) => {
    backend = backend || create(modules, log);
    return backend;
};

function create(modules, log) {
    const memory = require(path.join(modules, 'wf/lib/workflow-in-memory-backend'))({ log });
    const { init, getJobs, getJobProperty, updateJobProperty } = memory;
    let isReady = false;

    // It would forget everything.
    memory.init = (done) => {
        if (isReady) {
            return done();
        }
        isReady = true;
        return init(done);
    };

    // The newest first, at most so many, without the source of their tasks.
    memory.getJobs = (params, done) => {
        if (typeof params === 'function') {
            return getJobs(params);
        }
        const { offset = 0, limit = MOST_JOBS } = params;
        const wanted = Object.assign({}, params);
        delete wanted.offset;
        delete wanted.limit;
        return getJobs(wanted, (err, jobs) => {
            if (err) {
                return done(err);
            }
            const sorted = jobs.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
            return done(
                null,
                sorted.slice(offset, offset + limit).map((job) => {
                    const shown = Object.assign({}, job);
                    delete shown.chain;
                    delete shown.onerror;
                    delete shown.oncancel;
                    return shown;
                })
            );
        });
    };

    // A runner hears that its job was canceled when it notes the result of a task.
    memory.updateJobProperty = (uuid, property, value, meta, callback) => {
        const done = callback || meta;
        return updateJobProperty(uuid, property, value, {}, (err) => {
            if (err || property !== 'chain_results') {
                return done(err);
            }
            return getJobProperty(uuid, 'execution', (failed, execution) =>
                done(failed || (execution === 'canceled' ? 'cancel' : null))
            );
        });
    };

    return memory;
}
