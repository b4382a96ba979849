"""Atelier: prompts in, pictures out, through an SQL queue.

         HTTP                        RQ                shell
           |                          |                   |
        app/api                    workers             app/cli      the doors; they never meet
           +------------+-------------+-------------------+
                        |
                   app/services                       what Atelier does: one verb, one file
                        |
                   app/runtime                        the tools, built once from the settings
         +-------------+-----+-------+-------------+
     app/queue    app/providers   app/events   app/storage    the tools; siblings never meet
         |             |             |             |
     app/models   app/egress, app/guarded          |          rows; the way out; work on bytes from outside
         +-------------+------+------+-------------+
                         app/domain                   words and rules; standard library only

Arrows point down only (tests/unit/test_layers.py walks every import). This package imports
nothing itself, so that a worker that needs the queue never loads Flask.
"""
