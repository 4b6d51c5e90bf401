"""The pictures of docs/labelling.md: a labelling folder in the real window of QGIS.

Runs inside QGIS, which `scripts/labelling_pictures.sh` starts under a virtual screen. It does what
a person does, by QGIS's own interface, and takes a picture of the screen after each step.
"""

import os
from pathlib import Path

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
)
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QToolBar
from qgis.utils import iface

OUT = Path(os.environ["LABELLING_PICTURES"])
TOOLBARS = ("mFileToolBar", "mMapNavToolBar", "mDigitizeToolBar", "mAttributesToolBar")
RING = ((0.01, 0.49), (0.14, 0.62), (0.31, 0.87), (0.42, 0.71), (0.34, 0.54), (0.26, 0.48),
        (0.04, 0.46))  # fmt: skip
"""A shadow of a cloud in the first chip of the sample frame, as shares of the chip."""
window, project = iface.mainWindow(), QgsProject.instance()
chips, corrections = (project.mapLayersByName(name)[0] for name in ("chips", "corrections"))
state = {}


def arrange():
    window.showNormal()
    window.setGeometry(0, 22, 1278, 756)
    for dock in window.findChildren(QDockWidget):
        if dock.objectName() != "Layers":
            dock.hide()
    for bar in window.findChildren(QToolBar):
        if bar.objectName() not in TOOLBARS:
            bar.hide()


def picture(name):
    QApplication.primaryScreen().grabWindow(0).save(str(OUT / f"{name}.png"))


def look_at(box, factor):
    extent = QgsCoordinateTransform(chips.crs(), project.crs(), project).transformBoundingBox(box)
    extent.scale(factor)
    iface.mapCanvas().setExtent(extent)
    iface.mapCanvas().refresh()


def one_chip():
    state["chip"] = sorted(chips.getFeatures(), key=lambda one: one["id"])[0]
    look_at(state["chip"].geometry().boundingBox(), 1.15)
    iface.setActiveLayer(corrections)
    corrections.startEditing()


def draw():
    box = state["chip"].geometry().boundingBox()
    places = [
        QgsPointXY(box.xMinimum() + x * box.width(), box.yMinimum() + y * box.height())
        for x, y in RING
    ]
    drawn = QgsFeature(corrections.fields())
    drawn.setGeometry(QgsGeometry.fromPolygonXY([places]))
    drawn["class"] = "unlabelled"
    corrections.addFeature(drawn)
    corrections.triggerRepaint()
    iface.mapCanvas().refresh()
    state["form"] = form = iface.getFeatureForm(corrections, drawn)
    form.setModal(False)
    form.show()
    form.move(820, 480)


def accept():
    state["form"].close()
    corrections.commitChanges()
    iface.setActiveLayer(chips)
    chips.startEditing()
    field = chips.fields().indexOf("status")
    chips.changeAttributeValue(state["chip"].id(), field, "done")
    iface.showAttributeTable(chips)
    for other in QApplication.topLevelWidgets():
        if "chips" in other.windowTitle() and other is not window:
            other.resize(560, 300)
            other.move(700, 460)
            other.raise_()


def end():
    chips.commitChanges()
    project.setDirty(False)
    os._exit(0)


STEPS = (
    arrange,
    lambda: look_at(chips.extent(), 1.08),
    lambda: picture("labelling-open"),
    one_chip,
    draw,
    lambda: picture("labelling-draw"),
    accept,
    lambda: picture("labelling-done"),
    end,
)
WAIT_MS = int(os.environ.get("LABELLING_WAIT_MS", "8000"))


def step(number=0):
    def act():
        STEPS[number]()
        step(number + 1)

    QTimer.singleShot(WAIT_MS, act)


step()
